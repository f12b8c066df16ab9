// FargateRestateDeployment of @restatedev/restate-cdk with the shim before its admin API: the load
// balancer, its listeners and security groups stay as they are.
import { FargateRestateDeployment } from "@restatedev/restate-cdk";
import * as ecs from "aws-cdk-lib/aws-ecs";
import * as secretsmanager from "aws-cdk-lib/aws-secretsmanager";

export interface ShimProps {
  /** The shim's image, for ARM64, which this task has. */
  readonly image: ecs.ContainerImage;
  /** Holds `postgresql://…`: a task's own disk, where the ledger is, ends with the task. */
  readonly fleet: secretsmanager.ISecret;
  /** Put it beside Restate first (false); swap the ports (true) once that task is up. */
  readonly swap: boolean;
}

export function addShim(restate: FargateRestateDeployment, props: ShimProps): void {
  const task = restate.node.findChild("RestateTask") as ecs.FargateTaskDefinition;
  const server = task.findContainer("restate-runtime");
  if (server === undefined) {
    throw new Error("this version of the construct calls Restate's container otherwise");
  }
  if (props.swap) {
    // Containers of a task share their loopback address.
    server.addEnvironment("RESTATE_ADMIN__BIND_ADDRESS", "127.0.0.1:9072");
  }
  task.addVolume({ name: "restate-shim" });
  const shim = task.addContainer("RestateShim", {
    image: props.image,
    containerName: "restate-shim",
    // Restate goes on without it; ECS starts it again.
    essential: false,
    enableRestartPolicy: true,
    readonlyRootFilesystem: true,
    memoryReservationMiB: 96,
    memoryLimitMiB: 256,
    // 9070 is declared by Restate's container, and both have one address.
    portMappings: [{ containerPort: 9171 }],
    environment: {
      SHIM_LISTEN: props.swap ? "[::]:9070" : "[::]:9170",
      SHIM_UPSTREAM: props.swap ? "http://127.0.0.1:9072" : "http://127.0.0.1:9070",
      // A task's own name changes with every deployment, and the record would show a gap.
      SHIM_INSTANCE: "fargate",
    },
    secrets: { SHIM_FLEET: ecs.Secret.fromSecretsManager(props.fleet) },
    logging: ecs.LogDriver.awsLogs({ streamPrefix: "restate-shim" }),
  });
  shim.addMountPoints({
    containerPath: "/var/lib/restate-shim",
    readOnly: false,
    sourceVolume: "restate-shim",
  });
}
