# nsvpn: one non-recursive Makefile. `make help` lists the targets, README.md explains them.
#
# Variables: PREFIX DESTDIR CC CFLAGS V=1 BUILD=folder WERROR=1 SANITIZE=address,undefined CROSS=aarch64-linux-gnu

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec/nsvpn
MANDIR     ?= $(PREFIX)/share/man
BUILD      ?= build$(if $(CROSS),-$(CROSS))
PKGCONFIG  ?= $(if $(CROSS),PKG_CONFIG_LIBDIR=/usr/lib/$(shell $(CROSS)-gcc -print-multiarch)/pkgconfig:/usr/share/pkgconfig) pkg-config
VERSION    := 0.1.0

# For another machine, with Debian's cross compilers and the libraries of its architecture.
ifneq ($(CROSS),)
  CC := $(CROSS)-gcc
  AR := $(CROSS)-ar
endif

# One spelling for one folder, however it is named: dependency files hold it.
B := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))
JOBS := $(shell nproc 2>/dev/null || echo 2)
ifeq ($(V),1)
  Q :=
  say = @true
else
  Q := @
  say = @printf '  %-5s %s\n' $(1) $(2)
endif

# ---- flags ------------------------------------------------------------------------------------------------------

CFLAGS    ?= -O2 -g
WARNINGS  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wswitch-enum -Wformat=2 \
             -Wformat-security -Wpointer-arith -Wundef -Wno-missing-field-initializers
HARDENING := -fstack-protector-strong -fstack-clash-protection -fPIE -fno-strict-overflow
HARDEN_LD := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed
# gcc 12 folds long chains of comparisons (r < 0 && r != -A && r != -B && ...) wrongly in its reassociation pass.
ifeq ($(shell $(CC) --version 2>/dev/null | grep -ci clang),0)
  HARDENING += -fno-tree-reassoc
endif
ifeq ($(SANITIZE),)
  HARDENING += -D_FORTIFY_SOURCE=2
else
  SAN := -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DNSVPN_SANITIZE
endif
ifeq ($(WERROR),1)
  WARNINGS += -Werror
endif
ALL_CPPFLAGS = -D_GNU_SOURCE -DNSVPN_VERSION='"$(VERSION)"' -DNSVPN_LIBEXECDIR='"$(LIBEXECDIR)"' \
               -D_FILE_OFFSET_BITS=64 -Isrc -I$(B)/gen -idirafter src/uapi $(CPPFLAGS)
ALL_CFLAGS   = -std=gnu17 $(WARNINGS) $(HARDENING) $(SAN) $(CFLAGS)
ALL_LDFLAGS  = $(HARDEN_LD) $(SAN) $(LDFLAGS)

pkg = $(shell $(PKGCONFIG) $(1) $(2) 2>/dev/null)
CFLAGS_nl     := $(call pkg,--cflags,libmnl libnl-3.0 libnl-route-3.0 libnftables)
CFLAGS_net    := $(CFLAGS_nl)
CFLAGS_daemon := $(CFLAGS_nl)
LIBS_base     :=
LIBS_nl       := $(call pkg,--libs,libmnl libnl-3.0 libnl-route-3.0 libnftables)
LIBS_crypto   := $(call pkg,--libs,libssl libcrypto)
LIBS_systemd  := $(call pkg,--libs,libsystemd)
LIBS_seccomp  := $(call pkg,--libs,libseccomp)
LIBS_lzo      := $(call pkg,--libs,lzo2 liblz4)
# The unit tests' Criterion: the system's, or the few parts of it that they need where there is none.
CRITERION     ?= $(if $(CROSS),small,system)
ifeq ($(CRITERION),small)
  CFLAGS_criterion := -Itests/lib/criterion-small
else
  LIBS_criterion := $(call pkg,--libs,criterion)
endif

# ---- folders and programs ---------------------------------------------------------------------------------------
# The three link lines mirror tests/lint/links.

FOLDERS := base nl crypto profile ipc proto net launch engine daemon cli
srcs     = $(wildcard src/$(1)/*.c)
objs     = $(patsubst src/%.c,$(B)/%.o,$(filter-out src/$(1)/main.c,$(call srcs,$(1))))

PROGRAMS := $(B)/nsvpn $(B)/nsvpnd $(B)/nsvpn-engine $(B)/nsvpn-launch
DEPS_nsvpn        := cli launch profile base
DEPS_nsvpnd       := daemon net ipc profile nl base
DEPS_nsvpn-launch := launch profile base
DEPS_nsvpn-engine := engine proto ipc profile crypto base
LIBS_nsvpn        := $(LIBS_systemd)
LIBS_nsvpnd       := $(LIBS_systemd) $(LIBS_nl)
LIBS_nsvpn-launch :=
LIBS_nsvpn-engine := $(LIBS_systemd) $(LIBS_crypto) $(LIBS_seccomp) $(LIBS_lzo)
MAIN_nsvpn        := cli
MAIN_nsvpnd       := daemon
MAIN_nsvpn-engine := engine
MAIN_nsvpn-launch := launch

# The data path wants the vectoriser (performance.md 6.8).
$(B)/engine/%.o $(B)/crypto/%.o $(B)/proto/%.o: OPT_EXTRA := $(if $(SANITIZE),,-O3)

all: $(PROGRAMS)

define folder_rules
$(B)/$(1).a: $(call objs,$(1))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@; $$(AR) rcs $$@ $$^
-include $(patsubst src/%.c,$(B)/%.d,$(call srcs,$(1)))
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

define program_rules
$(B)/$(1): $(B)/$(MAIN_$(1))/main.o $(foreach d,$(DEPS_$(1)),$(B)/$(d).a)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$(B)/$(MAIN_$(1))/main.o -Wl,--start-group $(foreach d,$(DEPS_$(1)),$(B)/$(d).a) -Wl,--end-group $$(LIBS_$(1))
endef
$(foreach p,nsvpn nsvpnd nsvpn-engine nsvpn-launch,$(eval $(call program_rules,$(p))))

$(B)/%.o: src/%.c
	$(call say,CC,$<)
	@mkdir -p $(dir $@)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(OPT_EXTRA) $(CFLAGS_$(patsubst %/,%,$(dir $*))) -MMD -MP -c -o $@ $<

# The one object that knows where the programs were installed: built again when that changes.
$(B)/libexecdir: FORCE
	@mkdir -p $(B)
	@[ "$$(cat $@ 2>/dev/null)" = '$(LIBEXECDIR)' ] || echo '$(LIBEXECDIR)' > $@
$(B)/base/places.o: $(B)/libexecdir
FORCE:

# Ruleset texts become C string literals, so that nothing at run time can swap them.
NFT_TEXTS := $(wildcard src/net/*.nft)
NFT_GEN   := $(patsubst src/net/%.nft,$(B)/gen/net/%.nft.inc,$(NFT_TEXTS))
$(B)/gen/net/%.nft.inc: src/net/%.nft
	@mkdir -p $(dir $@)
	$(Q)sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $< > $@
$(call objs,net): | $(NFT_GEN)
$(B)/net/step-nft.o: $(NFT_GEN)

# ---- tests ------------------------------------------------------------------------------------------------------

# One Criterion binary per folder: tests/unit/test_<folder>*.c, linked with what the folder may use.
UNIT_FOLDERS := $(foreach f,$(FOLDERS),$(if $(wildcard tests/unit/$(f)/*.c),$(f),))
UNIT_BINS    := $(patsubst %,$(B)/tests/test_%,$(UNIT_FOLDERS))
# Every folder a folder may include (tests/lint/layers), itself first.
UNIT_base    := base
UNIT_nl      := nl base
UNIT_crypto  := crypto base
UNIT_profile := profile base
UNIT_ipc     := ipc profile base
UNIT_proto   := proto profile crypto base
UNIT_net     := net profile nl base
UNIT_launch  := launch profile base
UNIT_engine  := engine proto ipc profile crypto base
UNIT_daemon  := daemon net ipc profile nl base
UNIT_cli     := cli launch profile base
UNIT_LIBS    := $(LIBS_criterion) $(LIBS_systemd) $(LIBS_nl) $(LIBS_crypto) $(LIBS_seccomp) $(LIBS_lzo)

TESTLIB_OBJS := $(patsubst tests/%.c,$(B)/tests/%.o,$(wildcard tests/lib/*.c) \
                $(if $(CFLAGS_criterion),tests/lib/criterion-small/runner.c))

define unit_rules
$(B)/tests/test_$(1): $(patsubst tests/%.c,$(B)/tests/%.o,$(wildcard tests/unit/$(1)/*.c)) $(TESTLIB_OBJS) $(foreach d,$(UNIT_$(1)),$(B)/$(d).a)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(UNIT_LIBS)
-include $(patsubst tests/%.c,$(B)/tests/%.d,$(wildcard tests/unit/$(1)/*.c))
endef
$(foreach f,$(UNIT_FOLDERS),$(eval $(call unit_rules,$(f))))

$(B)/tests/%.o: tests/%.c
	$(call say,CC,$<)
	@mkdir -p $(dir $@)
	$(Q)$(CC) $(ALL_CPPFLAGS) -Itests $(CFLAGS_criterion) $(ALL_CFLAGS) $(CFLAGS_nl) -MMD -MP -c -o $@ $<

# Stand-alone tools of the lab: one .c file, one program.
LABLIBS_stubapp := $(LIBS_systemd)
LABLIBS_buscall := $(LIBS_systemd)
LABLIBS_busflood := $(LIBS_systemd)
LABLIBS_badengine := $(B)/engine.a $(B)/ipc.a $(B)/profile.a $(B)/base.a $(LIBS_seccomp)
LAB_TOOLS := $(patsubst tests/lab/%.c,$(B)/lab/%,$(wildcard tests/lab/*.c))
$(B)/lab/%: tests/lab/%.c $(B)/base.a
	$(call say,CC,$<)
	@mkdir -p $(dir $@)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) -MMD -MP -o $@ $< $(B)/base.a -lpthread $(LABLIBS_$*)
$(B)/lab/badengine: $(B)/engine.a $(B)/ipc.a $(B)/profile.a
-include $(wildcard $(B)/lab/*.d)

unit-bins: $(UNIT_BINS)
lab-tools: $(LAB_TOOLS)
demo-tools: $(B)/lab/echod $(B)/lab/judge

# ---- fuzzing ----------------------------------------------------------------------------------------------------

# Twice: to find mistakes, and with COVERAGE=1 to see which lines the seeds reach (tests/fuzz/coverage).
F          := $(B)/$(if $(COVERAGE),fuzz-coverage,fuzz)
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS  := $(patsubst %,$(F)/fuzz_%,$(FUZZ_NAMES))
FUZZ_TIME  ?= 60
FUZZ_SRCS  := $(foreach f,base crypto profile ipc proto,$(call srcs,$(f))) $(patsubst %,src/engine/%.c,gso mss checksum) \
              $(patsubst %,src/cli/%.c,desktop-entry desktop-exec) $(patsubst %,src/launch/%.c,request order) $(patsubst %,src/net/%.c,ruleset packet-walk)
FUZZ_SAN   := $(if $(COVERAGE),-fprofile-instr-generate -fcoverage-mapping,-fsanitize=fuzzer-no-link,address,undefined \
              -fno-sanitize-recover=undefined -DNSVPN_SANITIZE)
FUZZ_FLAGS := $(if $(COVERAGE),-O0,-O1) -g -std=gnu17 $(FUZZ_SAN) -DNSVPN_FUZZ
FUZZ_OBJS  := $(patsubst src/%.c,$(F)/%.o,$(FUZZ_SRCS))

$(F)/%.o: src/%.c
	$(call say,FCC,$<)
	@mkdir -p $(dir $@)
	$(Q)clang $(ALL_CPPFLAGS) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<
$(F)/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_OBJS)
	$(call say,FUZZ,$@)
	$(Q)clang $(ALL_CPPFLAGS) -Itests $(FUZZ_FLAGS) -fsanitize=fuzzer -MMD -MP -MF $@.d -MT $@ -o $@ $< $(FUZZ_OBJS) $(FUZZ_EXTRA) $(LIBS_crypto) $(LIBS_lzo)
-include $(FUZZ_OBJS:.o=.d) $(FUZZ_BINS:=.d)

# Pieces of the helper for two targets only, which play the rest of it.
FUZZ_OBJS_bus      := $(patsubst %,$(F)/daemon/%.o,manager-bus exec auth-pair)
FUZZ_OBJS_handover := $(F)/daemon/handover.o $(F)/net/journal.o
$(F)/fuzz_bus: $(FUZZ_OBJS_bus)
$(F)/fuzz_bus: FUZZ_EXTRA := $(FUZZ_OBJS_bus) $(LIBS_systemd)
$(F)/fuzz_handover: $(FUZZ_OBJS_handover)
$(F)/fuzz_handover: FUZZ_EXTRA := $(FUZZ_OBJS_handover) $(LIBS_systemd)
FUZZ_OBJS_records  := $(patsubst %,$(F)/%.o,net/journal daemon/store daemon/resolve cli/unit-dropin)
$(F)/fuzz_records: $(FUZZ_OBJS_records)
$(F)/fuzz_records: FUZZ_EXTRA := $(FUZZ_OBJS_records) $(LIBS_systemd)
-include $(FUZZ_OBJS_bus:.o=.d) $(FUZZ_OBJS_handover:.o=.d) $(FUZZ_OBJS_records:.o=.d)

fuzz-bins: $(FUZZ_BINS)
fuzz: fuzz-bins
	$(Q)tests/fuzz/run $(B) $(FUZZ_TIME)

# ---- entry points -----------------------------------------------------------------------------------------------

deps:
	$(Q)tests/deps

demo: deps
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all lab-tools
	$(Q)$(B)/nsvpn demo

check: deps
	$(Q)tests/run $(B)

bench: deps
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all lab-tools
	$(Q)tests/bench/run $(B)

lint:
	$(Q)tests/lint/run $(B)

asan:
	$(Q)$(MAKE) --no-print-directory BUILD=$(B)-asan SANITIZE=address,undefined all unit-bins

install: all demo-tools
	$(Q)units/install.sh '$(DESTDIR)' '$(BINDIR)' '$(LIBEXECDIR)' '$(MANDIR)' '$(B)'

uninstall:
	$(Q)UNINSTALL=1 units/install.sh '$(DESTDIR)' '$(BINDIR)' '$(LIBEXECDIR)' '$(MANDIR)' '$(B)'

deb:
	$(Q)units/debian/build '$(B)' '$(DEB_ARCH)'

clean:
	$(Q)rm -rf $(B) $(B)-asan $(B)-clang

help:
	@sed -n 's/^## //p' Makefile
## make            build nsvpn, nsvpnd, nsvpn-engine and nsvpn-launch
## make deps       install what building, demo and tests need
## make demo       a self-contained demonstration in a private lab (root)
## make check      every test this machine can run; ends with "N passed, N failed, N skipped"
## make bench      our client and openvpn side by side
## make lint       layers, links, formatting
## make fuzz       each fuzz target for FUZZ_TIME seconds
## make asan       the same programs and unit tests under ASan and UBSan
## make install    DESTDIR= PREFIX=
## make uninstall  removes what install put there, and takes tunnels down first
## make deb        a Debian package in build/deb; DEB_ARCH=arm64 or armhf with Debian's cross compilers

.PHONY: FORCE all deps demo check bench lint fuzz fuzz-bins unit-bins lab-tools demo-tools asan install uninstall deb clean help
.DELETE_ON_ERROR:
.SECONDARY:
