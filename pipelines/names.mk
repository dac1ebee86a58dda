# names.mk - names of files and folders in pipelines, and where the programs are; every pipeline includes it first.
#
# The folder of the repository may have blanks in its name: rules use HERE, which is relative, and recipes '$(ROOT)'.
# wf-train sets HERE, with a \ before each blank, ROOT and programs on the command line, which has the last word.
# Rules of make take other names apart at blanks, so OUT and DATA have none. Recipes put names into single quotes.
HERE := $(dir $(lastword $(MAKEFILE_LIST)))
ROOT := $(abspath $(HERE)..)
$(if $(findstring ',$(ROOT))$(findstring :,$(ROOT)),$(error the repository is in '$(ROOT)': expected a folder without ' and :))

# $(call quoted,NAMES): each for the shell
quoted = $(foreach f,$(1),'$f')

odd = ' " : ; % * ? [ ] \ |
is-odd = $(word 2,$($(1)))$(strip $(foreach c,$(odd),$(findstring $c,$($(1)))))
plain = $(if $(is-odd),$(error $(1): found "$($(1))", which rules of make take apart: expected a name without blanks \
    and $(odd); rename it, or make a link to it with ln -s))
override OUT := $(patsubst ~/%,$(HOME)/%,$(OUT))
override DATA := $(patsubst ~/%,$(HOME)/%,$(DATA))
$(foreach name,OUT DATA,$(call plain,$(name)))

# In the source tree the programs are those of the build BIN and, for the generator of the demo's pictures, B. Installed,
# this folder is PREFIX/share/wavelet-flow/pipelines, the programs are in PREFIX/bin, and the generator is in PREFIX/libexec.
ifneq ($(wildcard $(HERE)../lib/wf.h),)
BIN ?= bin
B ?= build
programs := $(abspath $(HERE)../$(BIN))
generator := $(HERE)../$(B)/deadleaves
else
programs := $(abspath $(HERE)../../../bin)
generator := $(HERE)../../../libexec/wavelet-flow/deadleaves
endif
export PATH := $(programs):$(ROOT)/pipelines:$(PATH)
DEADLEAVES = $(if $(wildcard $(generator)),,$(error $(generator) is not built: make demo))'$(abspath $(generator))'
