#!/usr/bin/env bash
# kill.sh - the training tests with 500 kills instead of 50
KILLS=${KILLS:-500} exec bash "$(dirname "$0")/../pipes/train.sh"
