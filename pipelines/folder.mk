# folder.mk - from pictures to a model, its bits per dimension, samples and a report. wf-train runs it; with make alone:
#
#     make -f pipelines/folder.mk PICTURES=photos OUT=out/photos MINUTES=10 SIZE=64
#
# PICTURES are files and folders without blanks in their names, anything that wf-dwt reads. A second run resumes; with
# more MINUTES the levels train on. Other pictures, SIZE or VAL need another OUT.
#
#   SIZE      height and width of the pictures;   DWT   options of wf-dwt in place of those below
#   VAL       per cent of the pictures that are held out, 5%, and evaluated; none: pictures that were trained on are
#             evaluated; store: a store of pictures to evaluate, which the variable WF_VAL of the environment names;
#             pictures: the same of pictures that the file $(OUT)/held-out names
#   FLOW      chain of every level; by default minutes, cores and the level choose
#   WF_INIT   in the environment: a model to begin with
#   FIGURES   of the report, see report.mk: FIGURES='samples real levels temperatures scaling super nearest' also draws
#             annealed samples, which takes minutes
OUT ?= out/folder
include $(if $(findstring command,$(origin HERE)),$(HERE),$(dir $(lastword $(MAKEFILE_LIST))))names.mk
MINUTES ?= 10
SIZE ?= 64
VAL ?= 5%
DWT ?= --fit $(SIZE)x$(SIZE) -c 3 --skip-bad 100

# wf-train keeps names of any kind in a file, each with a zero byte behind it.
ifdef PICTURES
paths-train = $(PICTURES)
else ifneq ($(wildcard $(OUT)/pictures),)
paths-train = --null --files-from $(OUT)/pictures
inputs-train = $(shell cksum < '$(OUT)/pictures')
else
$(error no pictures: give PICTURES=folder)
endif

# HELD_OUT empty: WF_VAL says what the levels validate on.
HELD_OUT =
NOTES ?=
EVAL = $(if $(filter none,$(VAL)),training,held-out)
ifeq ($(VAL),pictures)
paths-val = --null --files-from $(OUT)/held-out
inputs-val = $(shell cksum < '$(OUT)/held-out')
HELD_OUT = $(OUT)/val.store
export WF_VAL = $(OUT)/val.store
else ifneq ($(VAL),store)
export WF_VAL = $(VAL)
endif

# The levels are known once there is a store.
LEVELS = $(shell seq "$$(cat '$(OUT)/levels')" -1 0)
$(foreach l,$(shell seq 0 20),$(eval CHAIN_$l = $$(value FLOW)))
FIGURES ?= samples real levels scaling super nearest
TABLES = nearest-samples
SHOWN = pictures of the folder
REAL = $(if $(filter none,$(VAL)),training pictures,held-out pictures)

# Per cents fit the pattern %%, whose first % is any text. The store of the evaluated pictures, and those pictures as a stream.
from = $(if $(filter store pictures,$(VAL)),"$$WF_VAL",'$(OUT)/train.store')
evaluate = wf-bpd -q -m '$(OUT)/model' -s $(from) $(if $(filter %%,$(VAL)),--split val)
first = wf-view -q -n $(SAMPLES) $(1) | wf-idwt -q
pictures-real = $(call first,'$(OUT)/train.store')
pictures-held-out = $(if $(filter %%,$(VAL)),$(evaluate) -n $(SAMPLES) --per-image | tail -n +2 | cut -f 1 | \
    while read -r i; do wf-view -q -r "$$i:$$((i + 1))" $(from) | wf-idwt -q; done,$(call first,$(from)))

include $(HERE)common.mk

figure-real = wf-view -n $(SAMPLES) train.store | wf-idwt --grid report/real.png
all: report
.PHONY: store
store: $(OUT)/train.store
$(OUT)/levels: $(OUT)/train.store
	@wf-info '$<' | sed -n 's/^levels *//p' > '$@.part' && mv '$@.part' '$@'
$(OUT)/plan.tsv: $(OUT)/levels
$(OUT)/real.png $(report)/real.pam: | $(OUT)/train.store
$(report)/real.pam: | $(OUT)/trained
$(OUT)/bpd-$(EVAL).tsv: $(OUT)/trained
	@$(evaluate) > '$@.part' && mv '$@.part' '$@'
