// SingleNodeRestateDeployment of @restatedev/restate-cdk with the shim before its admin API: ports,
// security groups and, with TLS, nginx stay as they are.
import { SingleNodeRestateDeployment, SingleNodeRestateProps } from "@restatedev/restate-cdk";
import { Construct } from "constructs";

export interface ShimmedProps extends SingleNodeRestateProps {
  /** The shim's image, for the instance's architecture (ARM64, unless you say otherwise). */
  readonly shimImage: string;
  /** Put it beside Restate first (false); swap the ports (true) once that is up. */
  readonly swap: boolean;
}

export class ShimmedRestateDeployment extends SingleNodeRestateDeployment {
  // Set by the constructor of the class above, which calls what is below.
  private static props?: ShimmedProps;

  constructor(scope: Construct, id: string, props: ShimmedProps) {
    ShimmedRestateDeployment.props = props;
    super(scope, id, {
      ...props,
      // It counts before the configuration file that the construct writes.
      environment: {
        ...props.environment,
        ...(props.swap ? { RESTATE_ADMIN__BIND_ADDRESS: "127.0.0.1:9072" } : {}),
      },
    });
  }

  // Run at each boot before Restate is started: the construct waits for 9070 to answer.
  protected override mountDataVolumeScript(): string {
    const props = ShimmedRestateDeployment.props;
    if (props === undefined) {
      throw new Error("called before the constructor");
    }
    const settings = {
      SHIM_LISTEN: props.swap ? "[::]:9070" : "[::]:9170",
      SHIM_UPSTREAM: props.swap ? "http://127.0.0.1:9072" : "http://127.0.0.1:9070",
      SHIM_INSTANCE: "single-node",
    };
    const given = Object.entries(settings).map(([name, value]) => `-e ${name}='${value}'`);
    return [
      super.mountDataVolumeScript(),
      // On the data volume, which outlives the instance.
      "install -d -o 65532 -g 65532 -m 700 /var/restate/restate-shim",
      "systemctl start docker.service",
      // "restate" must not be part of its name: the construct looks for its own container by that.
      "docker rm --force admin-shim || true",
      "docker run --name admin-shim --restart unless-stopped --detach --network=host --read-only" +
        ` --volume /var/restate/restate-shim:/var/lib/restate-shim ${given.join(" ")} ${props.shimImage}`,
    ].join("\n");
  }
}
