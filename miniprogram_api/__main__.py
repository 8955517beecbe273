"""`python -m miniprogram_api`: one single-process API on its own port or unix socket."""

import sys

from sanic import Sanic

from backend import wiring
from kernel import config, logs, metrics
from miniprogram_api.app import create_app
from miniprogram_api.settings import HttpSettings


def main() -> int:
    """Loads the configuration and serves until SIGTERM. Exit code 2 for a configuration fault, 1 for a taken port."""
    try:
        http, log, measure = config.load(HttpSettings, logs.LogSettings, metrics.MetricsSettings)
        wiring.load_settings()
    except config.ConfigError as error:
        sys.stderr.write("配置有问题，请改正后重试：\n" + "".join(f"  - {c}\n" for c in error.complaints))
        return 2
    logs.configure(log, process="api")
    Sanic.start_method = "fork"

    async def start() -> None:
        app.ctx.cycle.limiter = (await wiring.start()).limiter
        app.ctx.metrics = await metrics.listen(measure)  # a port of its own on loopback, never the public listener

    async def stop() -> None:
        if app.ctx.metrics is not None:
            app.ctx.metrics.close()
        await wiring.stop()

    app = create_app(http, start=start, stop=stop)
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
