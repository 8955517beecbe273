"""Alipay (支付宝), `gateway.do` protocol, direct merchant: building, signing, verifying, mapping, gateway."""
