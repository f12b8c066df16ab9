// A stack of each kind, with the shim beside Restate and with the ports swapped, printed as JSON.
import * as cdk from "aws-cdk-lib";
import * as ec2 from "aws-cdk-lib/aws-ec2";
import * as ecs from "aws-cdk-lib/aws-ecs";
import * as route53 from "aws-cdk-lib/aws-route53";
import * as secretsmanager from "aws-cdk-lib/aws-secretsmanager";
import { FargateRestateDeployment } from "@restatedev/restate-cdk";
import { addShim } from "./fargate";
import { ShimmedRestateDeployment } from "./single-node";

const app = new cdk.App();
for (const swap of [false, true]) {
  const stack = new cdk.Stack(app, swap ? "swap" : "beside");
  const vpc = new ec2.Vpc(stack, "Vpc");
  const zone = { hostedZoneId: "Z1", zoneName: "example.com" };
  const hostedZone = route53.HostedZone.fromHostedZoneAttributes(stack, "Zone", zone);
  const dnsName = "restate.example.com";
  const restate = new FargateRestateDeployment(stack, "Fargate", { vpc, hostedZone, dnsName });
  const image = ecs.ContainerImage.fromRegistry("example.com/restate-shim:0.1.0");
  const fleet = new secretsmanager.Secret(stack, "Fleet");
  addShim(restate, { image, fleet, swap });
  const shimImage = "example.com/restate-shim:0.1.0";
  const environment = { RESTATE_LOG_FILTER: "warn" };
  new ShimmedRestateDeployment(stack, "Single", { vpc, shimImage, swap, environment });
}
const stacks = app.synth().stacks.map((stack) => [stack.stackName, stack.template]);
console.log(JSON.stringify(Object.fromEntries(stacks)));
