"""Unified public payment (统一公共支付 / 非税): one engine; what differs from region to region is data in `profiles`."""
