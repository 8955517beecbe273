"""WeChat Pay APIv3 (微信支付), direct merchant: signing, keys, client, mapping, gateway."""
