"""What a notice cannot do without: signature, cipher and JSON in the same Sanic, and nothing else. `python -m bench.cryptofloor PORT KEY SECRET`."""

import base64
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from sanic import HTTPResponse, Request, Sanic


def create(pem: bytes, secret: bytes) -> Sanic:
    """Verifies and opens; settles nothing."""
    app = Sanic("cryptofloor", configure_logging=False)
    app.config.update(AUTO_EXTEND=False, ACCESS_LOG=False, MOTD=False, KEEP_ALIVE_TIMEOUT=75)
    key, cipher = load_pem_public_key(pem), AESGCM(secret)
    scheme, digest = padding.PKCS1v15(), hashes.SHA256()

    @app.post("/api/v1/callbacks/wechat-pay")
    async def notice(request: Request) -> HTTPResponse:
        body, headers = request.body, request.headers
        signed = f"{headers['wechatpay-timestamp']}\n{headers['wechatpay-nonce']}\n".encode() + body + b"\n"
        try:
            key.verify(base64.b64decode(headers["wechatpay-signature"]), signed, scheme, digest)
        except InvalidSignature:
            return HTTPResponse(status=401)
        resource = json.loads(body)["resource"]
        plain = cipher.decrypt(
            resource["nonce"].encode(), base64.b64decode(resource["ciphertext"]), resource["associated_data"].encode()
        )
        return HTTPResponse(status=204 if json.loads(plain)["trade_state"] == "SUCCESS" else 400)

    return app


def main() -> None:
    """Serves until it is told to stop."""
    port, pem, secret = int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), Path(sys.argv[3]).read_bytes()
    Sanic.start_method = "fork"
    create(pem, secret).run(host="127.0.0.1", port=port, single_process=True, access_log=False, motd=False)


if __name__ == "__main__":
    main()
