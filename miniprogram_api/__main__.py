"""`python -m miniprogram_api`: one single-process API on its own port or unix socket."""

import sys

from sanic import Sanic

from backend import wiring
from kernel import config, logs
from miniprogram_api.app import create_app
from miniprogram_api.settings import HttpSettings


def main() -> int:
    """Loads the configuration and serves until SIGTERM. Exit code 2 for a configuration fault, 1 for a taken port."""
    try:
        http, log = config.load(HttpSettings, logs.LogSettings)
        wiring.load_settings()
    except config.ConfigError as error:
        sys.stderr.write("配置有问题，请改正后重试：\n" + "".join(f"  - {c}\n" for c in error.complaints))
        return 2
    logs.configure(log, process="api")
    Sanic.start_method = "fork"

    async def start() -> None:
        app.ctx.cycle.limiter = (await wiring.start()).limiter

    app = create_app(http, start=start, stop=wiring.stop)
    try:
        if http.socket is not None:
            http.socket.unlink(missing_ok=True)
            app.run(unix=str(http.socket), single_process=True, access_log=False, motd=False)
        else:
            app.run(host=http.host, port=http.port, single_process=True, access_log=False, motd=False)
    except OSError as error:
        sys.stderr.write(f"无法监听 {http.socket or f'{http.host}:{http.port}'}：{error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
