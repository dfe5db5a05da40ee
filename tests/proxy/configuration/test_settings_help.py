from badgateway_proxy.configuration.settings_help import settings_help


def test_every_setting_is_listed() -> None:
    text = settings_help()
    for entry in (
        "timeouts.first_byte (default 5s)\n",
        "upstreams (required)\n",
        "breaker.window (default {type: count, size: 100})\n",
        "debug (default false)\n",
        "admin.token (default none)\n",
        "retry.on (default [connect-failure, reset, timeout])\n",
        "rate_limit.client (default none)\n",
        "rate_limit.client.max_tokens (required)\n",
        "rate_limit.client.fill_interval (default 1s)\n",
    ):
        assert entry in text
