# common.mk - from pictures to coefficient stores, one flow per level, bits per dimension, samples and curves.
#
# A pipeline sets the variables below and includes this file. All results land in $(OUT): train.store, val.store and a
# store per name in EVAL, model/, bpd-NAME.tsv, real.png, samples.png, curves.png, curve.png. Every step can be
# interrupted and run again: finished steps are skipped, a store is continued, training resumes. Pictures read or cut in
# another way are converted again. Other training pictures or another SEED need another OUT, since training does not
# continue with other data.
#
#   paths-NAME      files and folders with the pictures of NAME: train, val, each of EVAL, and real for real.png; or
#   pictures-NAME   a shell command that prints them
#   inputs-NAME     a text that changes when these pictures do, if the names above do not say it
#   EVAL            names to evaluate
#   HELD_OUT        the store that validates: val.store by default; if empty, WF_VAL says it (see train.sh)
#   LEVELS          levels, the longest to train first, so that no core idles at the end
#   SHARE_L         share of the core time for level L, in per cent; if no level has one, plan.awk divides
#   CHAIN_L         flow of level L, chosen by the time and the cores if empty
#   FLAGS_L         its further options of wf-train-level
#   MINUTES         wall-clock minutes of training in total;   JOBS   cores
#   SSHLOGIN        other machines that train, JOBS levels at a time on each: see train.sh
#   NOTES           what wf-dwt tells: -q, nothing
#   DWT, FLAGS      options of wf-dwt, and options of wf-train-level for all levels
#   REFERENCES      figures of other systems, drawn into curve.png: see curves.sh
#
# The target report makes a page of pictures: see report.mk. wf-train sets SAY=: and ends with messages of its own.
SHELL = bash -o pipefail
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL = all

include $(HERE)names.mk
# Numbers have points and names are sorted by bytes in every locale.
export LC_ALL = C
export SSHLOGIN SSHWORKDIR SSHPATH SSHRETURN
JOBS ?= $(shell nproc)
SAMPLES ?= 64
SEED ?= 1
SAY ?= echo
NOTES ?= -q
HELD_OUT ?= $(OUT)/val.store

# $(call official,STEPS,WIDTH): the official chain with another depth and width
official = $(1)*(actnorm, conv1x1, affine:width=$(2):blocks=3), actnorm

.PHONY: all tables
all: tables $(OUT)/real.png $(OUT)/samples.png $(OUT)/curves.png $(OUT)/curve.png
	@$(SAY) 'everything is in $(OUT)'
tables: $(EVAL:%=$(OUT)/bpd-%.tsv)
	@for name in $(call quoted,$(EVAL)); do echo "bits per dimension on $$name pictures:"; expand -t 14 '$(OUT)'/"bpd-$$name.tsv"; done

# $(call keep,COMMAND;): runs COMMAND, then moves FILE.part to FILE if they differ. Targets that depend on a text are
# made again only when the text changes.
keep = if cmp -s '$@.part' '$@'; then rm '$@.part'; else $(1) mv '$@.part' '$@'; fi
.PHONY: FORCE
FORCE:
$(OUT):
	@mkdir -p '$@'

# $(call dwt,NAME,OPTIONS): the command that transforms the pictures of NAME
dwt = $(if $(paths-$(1)),wf-dwt $(2) $(call quoted,$(paths-$(1))),{ $(pictures-$(1)); } | wf-dwt $(2))

# A change in how pictures are read makes a partly written store useless.
$(OUT)/%.command: FORCE | $(OUT)
	$(file > $@.part,$(call dwt,$*,$(DWT))$(if $(inputs-$*), # $(inputs-$*)))
	@$(call keep,rm -rf '$(OUT)/$*.store.part';)

# A store under its final name is sealed. An interrupted one, sealed or not, continues under the name .part.
$(OUT)/%.store: $(OUT)/%.command
	@echo "$*: pictures to coefficients"
	@wf-info '$@.part' > '$@.info' 2>&1 || $(call dwt,$*,$(NOTES) $(DWT) -o '$@.part')
	@rm -rf '$@' '$@.info' && mv '$@.part' '$@'

# One line per level: level, minutes, threads, chain, further options.
$(OUT)/plan.tsv: FORCE | $(OUT)
	@{ $(foreach l,$(LEVELS),printf '%s\t%s\t%s\t--seed $(SEED) %s\n' '$(l)' '$(SHARE_$(l))' '$(CHAIN_$(l))' '$(FLAGS) $(FLAGS_$(l))';) } | \
	    awk -F '\t' -v minutes='$(MINUTES)' -v jobs='$(JOBS)' -f '$(ROOT)/pipelines/plan.awk' > '$@.part'
	@$(call keep)

$(OUT)/trained: $(OUT)/plan.tsv $(OUT)/train.store $(HELD_OUT)
	@train.sh '$(OUT)' $(JOBS)
	@touch '$@'

$(OUT)/bpd-%.tsv: $(OUT)/%.store $(OUT)/trained
	@echo "$*: bits per dimension"
	@wf-bpd -q -m '$(OUT)/model' -s '$<' > '$@.part' && mv '$@.part' '$@'

$(OUT)/real.png: $(OUT)/real.command
	@(set +o pipefail; $(call dwt,real,-q $(DWT) --count $(SAMPLES)) | wf-idwt -q --grid '$@')

$(OUT)/samples.png: $(OUT)/trained
	@echo "samples"
	@wf-sample -q -m '$(OUT)/model' -n $(SAMPLES) --seed $(SEED) | wf-idwt -q --grid '$@'

$(OUT)/curves.png $(OUT)/curve.png &: $(OUT)/trained $(REFERENCES)
	@curves.sh '$(OUT)' '$(REFERENCES)'

include $(HERE)report.mk
