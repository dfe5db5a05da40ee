"""A pytest plugin: every event loop is uvloop's, as in a process that has it (`pytest -p tests.support.on_uvloop`)."""

import asyncio

import uvloop

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
