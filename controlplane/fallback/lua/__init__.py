"""Lua functions from serverless plugins, run by LuaJIT in a sandbox."""
