# SPDX-License-Identifier: Apache-2.0
# make [all]       programs, unit tests, benches, compile_commands.json (V=1 shows the commands; CC=clang; BUILD=dir for another build directory)
# make check       all tests (as root, to have the integration tests too)
# make check-postgresql   those of the engine, its store on a PostgreSQL server
# make install     below $(DESTDIR)$(prefix), configuration below $(DESTDIR)$(sysconfdir)
# make deb         Debian packages of it, in $(BUILD)/deb
# make asan tsan   tests under AddressSanitizer + UndefinedBehaviorSanitizer, under ThreadSanitizer
# make lint        cppcheck, clang-tidy, the tests in tests/lint
# make fuzz        each fuzzer for FUZZ_SECONDS with its corpus
# make bench       the numbers of SPECIFICATION.md, measured here
BUILD ?= build
PREFIX ?= /usr/local
prefix ?= $(PREFIX)
bindir ?= $(prefix)/bin
sbindir ?= $(prefix)/sbin
mandir ?= $(prefix)/share/man
docdir ?= $(prefix)/share/doc/berth
bashcompdir ?= $(prefix)/share/bash-completion/completions
unitdir ?= $(prefix)/lib/systemd/system
sysconfdir ?= /etc
CC ?= cc
SANITIZE ?=
FUZZ_SECONDS ?= 30
VERSION := $(shell sed -n 's/^\#\# \([0-9][0-9.]*\).*/\1/p' NEWS.md | head -1)
PKGS = glib-2.0 jansson libxml-2.0 libevent_core libevent_pthreads openssl
AGENT_PKGS = libvirt libvirt-qemu libnl-3.0 libnl-route-3.0 libnftables libarchive libpng libnbd libudev libgcrypt
ENGINE_PKGS = sqlite3 libpq ldap libssh2
CLIENT_PKGS = libcurl
UNIT_PKGS = cmocka

WARN = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wno-unused-parameter -Wno-missing-field-initializers
OPT ?= -O2 -g
CPPFLAGS += -I. -D_GNU_SOURCE$(if $(VERSION), -DBERTH_VERSION=\"$(VERSION)\") -DG_LOG_DOMAIN=\"berth\" $(DEFINES)
CFLAGS_ALL = -std=gnu17 $(OPT) $(WARN) $(SANITIZE) -fno-omit-frame-pointer -fstack-protector-strong -pthread $(CFLAGS)
LDFLAGS_ALL = $(SANITIZE) -pthread -Wl,--as-needed -Wl,-z,pack-relative-relocs $(LDFLAGS)

PC_CFLAGS := $(shell pkg-config --cflags $(PKGS) $(AGENT_PKGS) $(ENGINE_PKGS) $(CLIENT_PKGS) $(UNIT_PKGS) libsystemd 2>/dev/null)
PC_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm
AGENT_LIBS := $(shell pkg-config --libs $(AGENT_PKGS) 2>/dev/null) -lsanlock -lhttp_parser -l:libcurl-gnutls.so.4
ENGINE_LIBS := $(shell pkg-config --libs $(ENGINE_PKGS) 2>/dev/null) -lhttp_parser -lcrypt -l:libcurl-gnutls.so.4
CLIENT_LIBS := $(shell pkg-config --libs $(CLIENT_PKGS) 2>/dev/null)
UNIT_LIBS := $(shell pkg-config --libs $(UNIT_PKGS) 2>/dev/null)

common_src := $(wildcard common/*.c)
proto_src := $(wildcard proto/*.c)
agent_src := $(wildcard agent/*.c agent/*/*.c agent/*/*/*.c)
engine_src := $(wildcard engine/*.c engine/*/*.c engine/*/*/*.c)
client_src := $(wildcard client/*.c)
unit_src := $(wildcard tests/unit/test-*.c)
fuzz_src := $(wildcard tests/fuzz/fuzz-*.c)
bench_src := $(wildcard tests/bench/*.c)
all_src := $(common_src) $(proto_src) $(agent_src) $(engine_src) $(client_src) $(unit_src) $(bench_src)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
lib_common = $(BUILD)/libcommon.a
lib_proto = $(BUILD)/libproto.a
lib_agent = $(BUILD)/libagent.a
lib_engine = $(BUILD)/libengine.a
lib_client = $(BUILD)/libclient.a
programs = $(BUILD)/berth-agent $(BUILD)/berth-engine $(BUILD)/berth
unit_tests = $(patsubst %.c,$(BUILD)/%,$(unit_src))
benches = $(patsubst %.c,$(BUILD)/%,$(bench_src))
fuzzers = $(patsubst %.c,$(BUILD)/%,$(fuzz_src))

.PHONY: all programs unit check install asan tsan lint fuzz bench clean
.DELETE_ON_ERROR:
.SECONDARY:
Q = $(if $(V),,@)
say = @$(if $(V),:,echo) '  $(1)  $(2)'
compile = $(CC) $(CPPFLAGS) $(PC_CFLAGS) $(CFLAGS_ALL)
link = $(CC) $(LDFLAGS_ALL) -o $@ $^
all: programs unit $(benches) compile_commands.json
programs: $(programs)
unit: $(unit_tests)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(compile) -MMD -MP -c -o $@ $<

# what is in it runs on hosts
$(BUILD)/engine/deploy/script.o: engine/deploy/host.sh

define static_library
$(1): $(2)
	@rm -f $(1)
	$(call say,AR,$(1))
	$(Q)ar rcs $(1) $(2)
endef
$(eval $(call static_library,$(lib_common),$(call obj,$(common_src))))
$(eval $(call static_library,$(lib_proto),$(call obj,$(proto_src))))
$(eval $(call static_library,$(lib_agent),$(filter-out %/agent/main.o,$(call obj,$(agent_src)))))
$(eval $(call static_library,$(lib_engine),$(filter-out %/engine/main.o,$(call obj,$(engine_src)))))
$(eval $(call static_library,$(lib_client),$(filter-out %/client/main.o,$(call obj,$(client_src)))))

$(BUILD)/berth-agent: $(BUILD)/agent/main.o $(lib_agent) $(lib_proto) $(lib_common)
	$(call say,LD,$@)
	$(Q)$(link) $(AGENT_LIBS) $(PC_LIBS)
$(BUILD)/berth-engine: $(BUILD)/engine/main.o $(lib_engine) $(lib_proto) $(lib_common)
	$(call say,LD,$@)
	$(Q)$(link) $(ENGINE_LIBS) $(PC_LIBS)
$(BUILD)/berth: $(BUILD)/client/main.o $(lib_client) $(lib_proto) $(lib_common)
	$(call say,LD,$@)
	$(Q)$(link) $(CLIENT_LIBS) $(PC_LIBS)

# tests/unit/test-<part>-<noun>.c links the libraries of its part and of those below it
$(BUILD)/tests/unit/test-common-%: $(BUILD)/tests/unit/test-common-%.o $(lib_common)
	$(call say,LD,$@)
	$(Q)$(link) $(UNIT_LIBS) $(PC_LIBS)
$(BUILD)/tests/unit/test-proto-%: $(BUILD)/tests/unit/test-proto-%.o $(lib_proto) $(lib_common)
	$(call say,LD,$@)
	$(Q)$(link) $(UNIT_LIBS) $(PC_LIBS)
$(BUILD)/tests/unit/test-agent-%: $(BUILD)/tests/unit/test-agent-%.o $(lib_agent) $(lib_proto) $(lib_common)
	$(call say,LD,$@)
	$(Q)$(link) $(UNIT_LIBS) $(AGENT_LIBS) $(PC_LIBS)
$(BUILD)/tests/unit/test-engine-%: $(BUILD)/tests/unit/test-engine-%.o $(lib_engine) $(lib_proto) $(lib_common)
	$(call say,LD,$@)
	$(Q)$(link) $(UNIT_LIBS) $(ENGINE_LIBS) $(PC_LIBS)
$(BUILD)/tests/unit/test-client-%: $(BUILD)/tests/unit/test-client-%.o $(lib_client) $(lib_proto) $(lib_common)
	$(call say,LD,$@)
	$(Q)$(link) $(UNIT_LIBS) $(CLIENT_LIBS) $(PC_LIBS)
$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(lib_engine) $(lib_agent) $(lib_proto) $(lib_common)
	$(call say,LD,$@)
	$(Q)$(link) $(AGENT_LIBS) $(ENGINE_LIBS) $(PC_LIBS)
# fuzzers are one program each: every source of the libraries is compiled anew with the fuzzer's instrumentation (make fuzz)
$(BUILD)/tests/fuzz/fuzz-%: $(BUILD)/tests/fuzz/fuzz-%.o $(lib_engine) $(lib_agent) $(lib_proto) $(lib_common)
	$(call say,LD,$@)
	$(Q)$(link) -fsanitize=fuzzer $(AGENT_LIBS) $(ENGINE_LIBS) $(PC_LIBS)

check: all
	tests/run

# TESTS=engine/disks for some of them
check-postgresql: TESTS = 'engine/*' 'unit/test-engine-*'
check-postgresql: all
	tests/engine/postgres.py tests/run $(TESTS)
.PHONY: check-postgresql

# ---- sanitizers: the same tests, built anew ----
asan_tests = 'unit/*' $(wildcard tests/client/*.test) $(wildcard tests/agent/*.test) $(wildcard tests/engine/*.test)
tsan_parts = common-lane common-ref-id common-stream common-loop common-metrics common-log engine-store engine-model agent-jobs agent-events
tsan_tests = $(foreach t,$(tsan_parts),$(patsubst tests/unit/test-$(t)%.c,unit/test-$(t)%,$(wildcard tests/unit/test-$(t)*.c)))
asan:
	$(MAKE) BUILD=build-asan OPT='-O1 -g' SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined' DEFINES='$(DEFINES)' programs unit
	BUILD=build-asan TEST_TIMEOUT_FACTOR=$${TEST_TIMEOUT_FACTOR:-4} tests/run $(asan_tests)
tsan:
	$(MAKE) CC=clang BUILD=build-tsan OPT='-O1 -g' SANITIZE='-fsanitize=thread' DEFINES='$(DEFINES)' unit
	BUILD=build-tsan TEST_TIMEOUT_FACTOR=$${TEST_TIMEOUT_FACTOR:-4} TSAN_OPTIONS='suppressions=$(CURDIR)/tests/tsan.supp halt_on_error=0 die_after_fork=0' \
	  tests/run $(sort $(tsan_tests))

fuzz:
	$(MAKE) CC=clang BUILD=build-fuzz OPT='-O1 -g' SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' fuzzers
	@for f in $(fuzzers:$(BUILD)/%=build-fuzz/%); do n=$${f##*/fuzz-}; mkdir -p build-fuzz/corpus/$$n build-fuzz/found tests/fuzz/corpus/$$n; \
	  echo "fuzz $$n, $(FUZZ_SECONDS) s"; \
	  $$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
	    -artifact_prefix=build-fuzz/found/$$n- build-fuzz/corpus/$$n tests/fuzz/corpus/$$n || exit 1; done
.PHONY: fuzzers
fuzzers: $(fuzzers)

bench: programs $(benches)
	BUILD=$(BUILD) tests/bench/run

# ---- reading the sources ----
# what clang says of every source. The heavy headers are read once, which makes it four times as fast.
heavy_headers = glib.h glib/gstdio.h jansson.h libxml/tree.h libvirt/libvirt.h openssl/ssl.h stdio.h unistd.h
syntax: CC = clang
syntax:
	@mkdir -p $(BUILD)
	printf '#include <%s>\n' $(heavy_headers) > $(BUILD)/heavy.h
	$(compile) -x c-header -o $(BUILD)/heavy.pch $(BUILD)/heavy.h
	printf '%s\n' $(all_src) $(fuzz_src) | xargs -P$$(nproc) -n16 $(compile) -include-pch $(BUILD)/heavy.pch -fsyntax-only
.PHONY: syntax

lint: compile_commands.json
	cppcheck --quiet --std=c17 --enable=warning,performance,portability --inline-suppr --suppressions-list=tests/lint/cppcheck.txt \
	  --error-exitcode=1 -j$$(nproc) -I. -D_GNU_SOURCE -DG_LOG_DOMAIN='"berth"' --max-configs=1 $(sort $(dir $(all_src)))
	printf '%s\n' $(all_src) | xargs -P$$(nproc) -n4 clang-tidy --quiet --warnings-as-errors='*' -p .
	tests/run 'lint/*'

# ---- install: nothing that an administrator may have changed is replaced ----
# Each program with what belongs to it; make deb makes a package of each.
hook_points = $(shell sed -n 's/^HOOK_POINT.\([a-z_]*\),.*/\1/p' agent/hook_points.h)
hooksdir = $(prefix)/share/berth/hooks
man_pages = $(wildcard docs/*.[1-8] hooks/*/*.[1-8])
man_berth = docs/berth.1
man_berth-engine = $(wildcard docs/berth-engine*.[1-8]) docs/berth-domain.conf.5
man_berth-agent = $(filter-out $(man_berth) $(man_berth-engine),$(man_pages))
installed = berth berth-agent berth-engine
daemons = $(filter-out berth,$(installed))
.PHONY: deb $(installed:%=install-%)
install: $(installed:%=install-%)

define install_manual
	for p in $(man_$(1)); do install -d $(DESTDIR)$(mandir)/man$${p##*.} && \
	  sed 's,/usr/local/share/berth,$(prefix)/share/berth,' $$p > $(DESTDIR)$(mandir)/man$${p##*.}/$${p##*/} || exit 1; done
endef

$(daemons:%=install-%): install-%: programs
	install -d $(addprefix $(DESTDIR),$(sbindir) $(unitdir) $(docdir) $(sysconfdir)/berth $(sysconfdir)/pki/berth)
	install -m755 $(BUILD)/$* $(DESTDIR)$(sbindir)/
	sed 's,@sbindir@,$(sbindir),g' systemd/$*.service > $(DESTDIR)$(unitdir)/$*.service
	[ ! -e systemd/$*.sysusers ] || install -Dm644 systemd/$*.sysusers $(DESTDIR)$(prefix)/lib/sysusers.d/$*.conf
	d=$(*:berth-%=%); $(BUILD)/$* --print-config > $(DESTDIR)$(docdir)/$$d.conf.example && \
	  { [ -e $(DESTDIR)$(sysconfdir)/berth/$$d.conf ] || install -m644 $(DESTDIR)$(docdir)/$$d.conf.example $(DESTDIR)$(sysconfdir)/berth/$$d.conf; }
	$(call install_manual,$*)

install-berth-agent: install-hooks
install-hooks:
	install -d $(addprefix $(DESTDIR)$(sysconfdir)/berth/hooks/,$(hook_points))
	for f in $$(cd hooks && find . -type f ! -name '*.[1-8]' ! -path '*/__pycache__/*'); do install -D -m$$([ -x hooks/$$f ] && echo 755 || echo 644) hooks/$$f $(DESTDIR)$(hooksdir)/$$f || exit 1; done
.PHONY: install-hooks

install-berth: programs
	install -d $(addprefix $(DESTDIR),$(bindir) $(bashcompdir) $(docdir) $(sysconfdir)/pki/berth)
	install -m755 $(BUILD)/berth $(DESTDIR)$(bindir)/
	$(BUILD)/berth completion bash > $(DESTDIR)$(bashcompdir)/berth
	install -m644 $(wildcard *.md) LICENSE $(DESTDIR)$(docdir)/
	$(call install_manual,berth)

debdir = $(BUILD)/deb
deb: programs
	$(Q)rm -rf '$(debdir)'
	$(Q)packaging/deb/build '$(BUILD)' '$(debdir)' '$(VERSION)' $(installed)

clean:
	rm -rf $(BUILD) build-*  compile_commands.json

compile_commands.json: Makefile $(all_src)
	@{ echo '['; sep=; for f in $(all_src); do \
	  printf '%s{"directory":"%s","file":"%s","command":"%s"}\n' "$$sep" "$(CURDIR)" "$$f" \
	    '$(CC) $(subst ",\",$(subst \,\\,$(CPPFLAGS))) $(PC_CFLAGS) -std=gnu17 $(WARN) -c '"$$f"; sep=,; done; echo ']'; } > $@

-include $(patsubst %.c,$(BUILD)/%.d,$(all_src) $(fuzz_src))
