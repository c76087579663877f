#!/usr/bin/env bash
exec /usr/bin/protoc "$@"
