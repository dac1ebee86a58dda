# paths.mk - where the programs of a pipeline are. In the source tree they are those of the build BIN and, for the
# generator of the demo's pictures, B. Installed, this folder is PREFIX/share/wavelet-flow/pipelines, the programs are
# in PREFIX/bin, and the generator is in PREFIX/libexec/wavelet-flow.
ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))..)
ifneq ($(wildcard $(ROOT)/lib/wf.h),)
BIN ?= bin
B ?= build
PROGRAMS := $(ROOT)/$(BIN)
DEADLEAVES := $(ROOT)/$(B)/deadleaves
else
PROGRAMS := $(abspath $(ROOT)/../../bin)
DEADLEAVES := $(abspath $(ROOT)/../../libexec/wavelet-flow/deadleaves)
endif
export PATH := $(PROGRAMS):$(ROOT)/pipelines:$(PATH)
