"""`python -m miniprogram_api`: one single-process API on its own port or unix socket."""

import asyncio
import sys

from sanic import Sanic

from backend import starting, wiring
from kernel import config, logs, metrics
from kernel.listening import bound
from kernel.problems import DatabaseUnavailable
from miniprogram_api.app import create_app
from miniprogram_api.settings import HttpSettings


def main() -> int:
    """Loads the configuration and serves until SIGTERM. Exit code 2 for a configuration fault, 1 for a taken port."""
    try:
        http, log, measure = config.load(HttpSettings, logs.LogSettings, metrics.MetricsSettings)
        values = wiring.load_settings()
    except config.ConfigError as error:
        return _refuse(error)
    logs.configure(log, process="api")
    Sanic.start_method = "fork"

    async def start() -> None:
        # A port of its own on loopback, never the public listener; tried first, because it is the cheapest to give back.
        app.ctx.metrics = await metrics.listen(measure)
        app.ctx.cycle.limiter = (await starting.patiently(values)).limiter

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
            mine = asyncio.run(bound(http.host, http.port))
            app.run(sock=mine, single_process=True, access_log=False, motd=False)
    except (config.ConfigError, wiring.SchemaOutdated, metrics.CannotListen, DatabaseUnavailable) as error:
        return _refuse(error)
    except OSError as error:
        sys.stderr.write(f"无法监听 {http.socket or f'{http.host}:{http.port}'}：{error.strerror or error}\n")
        return 1
    return 0


def _refuse(error: Exception) -> int:
    code, text = starting.explain(error) or (1, str(error))
    sys.stderr.write(text + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
