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
    ):
        assert entry in text
