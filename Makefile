# nginx-phota.  "make help" lists what can be made.

SHELL         = /bin/bash
.SHELLFLAGS   = -eu -o pipefail -c

BUILD         = build
JOBS          = $(shell nproc)

# tests wait more than they work

TEST_JOBS     = $(shell expr 2 \* $(JOBS))

PREFIX        = /usr/local
MODULES_DIR   = /usr/lib/nginx/modules
CONF_DIR      = /etc/nginx/phota
SHARE_DIR     = /usr/share/nginx-phota
DESTDIR       =

NGINX_DEV     = /usr/share/nginx/src

CC            = gcc
CLANG         = clang
WARNINGS      = -Wall -Wextra -Werror
CFLAGS        = -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
FUZZ_SECONDS  = 30
CRASH_ROUNDS  = 500


# what Debian calls the things that are needed

BUILD_PACKAGES    = gcc libc6-dev make nginx nginx-dev liblmdb-dev \
                    libssl-dev libjansson-dev zlib1g-dev libxxhash-dev \
                    libcurl4-openssl-dev \
                    ca-certificates
DEMO_PACKAGES     = $(BUILD_PACKAGES) libnginx-mod-http-lua curl imagemagick \
                    perl openssl lua-cjson
TEST_PACKAGES     = $(DEMO_PACKAGES) libcmocka-dev nghttp2-client \
                    lmdb-utils iproute2 tzdata patch
METRICS_PACKAGES  = $(TEST_PACKAGES) prometheus
FUZZ_PACKAGES     = $(BUILD_PACKAGES) clang libclang-rt-14-dev
LINT_PACKAGES     = $(BUILD_PACKAGES) clang clang-tidy cppcheck
BROWSER_PACKAGES  = $(TEST_PACKAGES) chromium fonts-dejavu-core
DEB_PACKAGES      = $(BUILD_PACKAGES) debhelper dpkg-dev fakeroot lintian
DAY_PACKAGES      = $(TEST_PACKAGES) debootstrap prometheus
VALGRIND_PACKAGES = $(BUILD_PACKAGES) libcmocka-dev valgrind perl


CORE_SRCS  := $(sort $(wildcard src/core/*.c))
CMD_SRCS   := $(sort $(wildcard src/command/*.c))
CTL_SRCS   := $(sort $(wildcard src/photactl/*.c))
NGX_SRCS   := $(sort $(wildcard src/ngx/*.c))
HEADERS    := $(sort $(wildcard src/core/*.h src/command/*.h src/photactl/*.h \
                src/ngx/*.h))
UNIT_SRCS  := $(sort $(wildcard t/unit/test_*.c))
FUZZ_SRCS  := $(sort $(wildcard t/fuzz/fuzz_*.c))
TESTS      := $(sort $(wildcard t/*.t))

CORE_OBJS   = $(CORE_SRCS:%.c=$(BUILD)/obj/%.o)
CMD_OBJS    = $(CMD_SRCS:%.c=$(BUILD)/obj/%.o)
CTL_OBJS    = $(CTL_SRCS:%.c=$(BUILD)/obj/%.o)
UNITS       = $(UNIT_SRCS:t/unit/%.c=$(BUILD)/unit/%)
FUZZERS     = $(FUZZ_SRCS:t/fuzz/%.c=$(BUILD)/fuzz/%)

STD         = -std=gnu11 -D_GNU_SOURCE
CORE_FLAGS  = $(STD) $(CFLAGS) $(WARNINGS) -fPIC $(INCLUDES)
INCLUDES    = -Isrc/core -Isrc/command -Isrc/photactl
LIBS        = -llmdb -lcrypto -ljansson -lz

# photactl's alone: nginx calls nobody but through itself

CTL_LIBS    = -lcurl

MODULE      = $(BUILD)/ngx_http_phota_module.so
CTL         = $(BUILD)/photactl
LIB         = $(BUILD)/libphota.a
CMD_LIB     = $(BUILD)/libphota-command.a

abspath_build = $(abspath $(BUILD))

FAIL        = $(BUILD)/fail.so
BOOKS       = $(BUILD)/books-driver
TABLE       = $(BUILD)/table


.PHONY: all
all: $(MODULE) $(CTL)  ## the module and photactl


# the library, photactl

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@$(CC) $(CORE_FLAGS) -MMD -MP -c -o $@ $<

-include $(CORE_OBJS:.o=.d) $(CMD_OBJS:.o=.d) $(CTL_OBJS:.o=.d)

# made anew each time, for a member whose source has gone would stay in it

$(LIB): $(CORE_OBJS)
	@rm -f $@
	@$(AR) rcs $@ $^

$(CMD_LIB): $(CMD_OBJS)
	@rm -f $@
	@$(AR) rcs $@ $^

$(CTL): $(CTL_OBJS) $(CMD_LIB) $(LIB)
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) $(CTL_LIBS)


# The module, against the headers and the configure script of nginx-dev, with
# the flags of Debian's own nginx.  It is configured again when the list of
# files, the config script or the installed nginx has changed.

NGX_TREE    = $(BUILD)/nginx-src
NGX_CC_OPT  = -g -O2 -fstack-protector-strong -Wformat \
              -Werror=format-security -fPIC -D_FORTIFY_SOURCE=2
NGX_LD_OPT  = -Wl,-z,relro -Wl,-z,now -fPIC

$(BUILD)/inputs: FORCE
	@mkdir -p $(@D)
	@{ echo $(NGX_SRCS) $(CMD_SRCS) $(CORE_SRCS) $(HEADERS); \
	   dpkg-query -W -f='$${Version}\n' nginx-dev || :; } > $@.new 2>&1
	@cmp -s $@.new $@ || cp $@.new $@
	@rm -f $@.new

$(NGX_TREE)/objs/Makefile: config $(BUILD)/inputs
	@test -f $(NGINX_DEV)/conf_flags || { \
	    echo "nginx-dev is missing: make deps" >&2; exit 1; }
	@rm -rf $(NGX_TREE)
	@cp -r $(NGINX_DEV) $(NGX_TREE)
	@root=$$PWD; cd $(NGX_TREE); . ./conf_flags; \
	sh ./configure "$${NGX_CONF_FLAGS[@]}" --with-cc-opt='$(NGX_CC_OPT)' \
	    --with-ld-opt='$(NGX_LD_OPT)' --add-dynamic-module="$$root" \
	    > configure.log 2>&1 \
	    || { tail -n 5 configure.log >&2; rm -f objs/Makefile; exit 1; }

$(MODULE): $(NGX_TREE)/objs/Makefile $(NGX_SRCS) $(CMD_SRCS) $(CORE_SRCS) \
           $(HEADERS)
	@env -u MAKEFLAGS -u MFLAGS $(MAKE) -s -j$(JOBS) -C $(NGX_TREE) \
	    -f objs/Makefile modules
	@cp --remove-destination $(NGX_TREE)/objs/ngx_http_phota_module.so $@

.PHONY: FORCE
FORCE:


# packages

.PHONY: deps test-deps
deps:  ## install what building needs (as root; else say how)
	@contrib/deps $(BUILD_PACKAGES)

test-deps:  ## the same for the tests
	@contrib/deps $(TEST_PACKAGES)


# tests

# preloaded into the programs under test, never sanitized itself

$(FAIL): t/io/fail.c
	@mkdir -p $(@D)
	@$(CC) $(STD) -O2 -g $(WARNINGS) -fPIC -shared -o $@ $< -ldl

$(BOOKS): $(wildcard t/books/*.c t/books/*.h) $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(CORE_FLAGS) -o $@ $(filter %.c,$^) $(LIB) $(LIBS)

# the operations and routes, for tests that are made from them

$(TABLE): t/table/table.c $(BUILD)/obj/src/core/phota_operation_table.o \
          src/core/phota_operation.h
	@mkdir -p $(@D)
	@$(CC) $(CORE_FLAGS) -o $@ $(filter %.c %.o,$^)

$(BUILD)/unit/%: t/unit/%.c $(wildcard t/unit/*.h) $(CMD_LIB) $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(CORE_FLAGS) -It/unit -o $@ $< $(CMD_LIB) $(LIB) $(LIBS) \
	    $(CTL_LIBS) -lcmocka -lpthread

.PHONY: unit
unit: $(UNITS)  ## the unit tests of src/core alone
	@t/run -j$(TEST_JOBS) $(UNITS)

.PHONY: check-build
check-build: all $(UNITS) $(FAIL) $(BOOKS) $(TABLE)

.PHONY: test
test: test-deps  ## everything: unit tests, then real servers
	@$(MAKE) -s --no-print-directory -j$(JOBS) check-build
	@PHOTA_MODULE=$(abspath $(MODULE)) PHOTA_CTL=$(abspath $(CTL)) \
	    PHOTA_FAIL_SO=$(abspath $(FAIL)) PHOTA_BOOKS=$(abspath $(BOOKS)) \
	    PHOTA_TABLE=$(abspath $(TABLE)) t/run -j$(TEST_JOBS) $(UNITS) $(TESTS)

.PHONY: test-metrics
test-metrics:  ## metrics, alerts and dashboard with a real Prometheus
	@contrib/deps $(METRICS_PACKAGES)
	@$(MAKE) -s --no-print-directory -j$(JOBS) check-build
	@PHOTA_MODULE=$(abspath $(MODULE)) PHOTA_CTL=$(abspath $(CTL)) \
	    t/run t/metrics.t t/prometheus.t

.PHONY: crash
crash: test-deps  ## kill -9 and failing disks, CRASH_ROUNDS=500 times
	@$(MAKE) -s --no-print-directory -j$(JOBS) check-build
	@PHOTA_MODULE=$(abspath $(MODULE)) PHOTA_CTL=$(abspath $(CTL)) \
	    PHOTA_FAIL_SO=$(abspath $(FAIL)) PHOTA_CRASH_ROUNDS=$(CRASH_ROUNDS) \
	    PHOTA_CACHE_ROUNDS=$(CRASH_ROUNDS) \
	    PHOTA_JOINS_ROUNDS=$(CRASH_ROUNDS) PHOTA_JOINS_ALL=1 \
	    t/run t/crash.t t/cache_crash.t t/joins_crash.t

.PHONY: demo
demo:  ## see it work, in a minute; KEEP=1 leaves it running
	@contrib/deps $(DEMO_PACKAGES)
	@$(MAKE) -s --no-print-directory -j$(JOBS) all
	@BUILD=$(abspath_build) KEEP=$(KEEP) t/demo.sh


# The tests once more with AddressSanitizer and UBSan: a debugging nginx whose
# pools are plain malloc, so that a step outside any allocation is seen.  Where
# its source can't be had, Debian's nginx with the runtime preloaded sees those
# in memory that the module and LMDB allocate themselves.

ASAN        = $(BUILD)/asan
ASAN_FLAGS  = -fsanitize=address,undefined -fno-omit-frame-pointer \
              -fno-sanitize-recover=undefined
ASAN_NGX    = $(ASAN_FLAGS) -fno-sanitize=alignment,nonnull-attribute \
              -fno-sanitize=pointer-overflow,shift-base -g -O1 \
              -DNGX_DEBUG_PALLOC=1 -DNGX_DEBUG_MALLOC=1

.PHONY: asan
asan: test-deps  ## the tests with AddressSanitizer and UBSan
	@$(MAKE) -s --no-print-directory -j$(JOBS) BUILD=$(ASAN) \
	    CFLAGS="-g -O1 $(ASAN_FLAGS)" $(ASAN)/photactl $(ASAN)/fail.so \
	    $(ASAN)/books-driver $(ASAN)/table \
	    $(UNIT_SRCS:t/unit/%.c=$(ASAN)/unit/%)
	@test -f $(ASAN)/source/configure \
	    || contrib/nginx-source $(abspath $(ASAN))/source \
	    || echo "asan: using Debian's nginx with the runtime preloaded"
	@$(MAKE) -s --no-print-directory $(ASAN)/module.so
	@t/asan/run $(abspath $(ASAN)) t/run -j$(TEST_JOBS) \
	    $(UNIT_SRCS:t/unit/%.c=$(ASAN)/unit/%) $(TESTS)

$(ASAN)/module.so: config $(BUILD)/inputs $(NGX_SRCS) $(CMD_SRCS) \
                   $(CORE_SRCS) $(HEADERS) t/asan/build t/asan/options.c
	@t/asan/build $(abspath $(ASAN)) '$(ASAN_NGX)'

.PHONY: valgrind
valgrind:  ## the unit tests under memcheck
	@contrib/deps $(VALGRIND_PACKAGES)
	@$(MAKE) -s --no-print-directory -j$(JOBS) $(UNITS)
	@t/run -j$(TEST_JOBS) --valgrind $(UNITS)


# The operator's page, from src/dashboard and npm's packages; nginx serves the
# one file, and nothing else here needs node.  Modules are installed where
# nothing is committed, by lock files, and run no scripts of theirs.

PAGE        = $(BUILD)/dashboard.html
NPM         = npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
NEED_NODE   = { command -v node && command -v npm; } > /dev/null \
              || contrib/deps nodejs npm

$(BUILD)/node/page/ready: src/dashboard/package.json \
                          src/dashboard/package-lock.json
	@$(NEED_NODE)
	@mkdir -p $(@D)
	@cp $^ $(@D)/
	@cd $(@D) && $(NPM) > npm.log || { cat npm.log >&2; exit 1; }
	@touch $@

$(BUILD)/node/browser/ready: t/dashboard/package.json \
                             t/dashboard/package-lock.json
	@$(NEED_NODE)
	@mkdir -p $(@D)
	@cp $^ $(@D)/
	@cd $(@D) && $(NPM) > npm.log || { cat npm.log >&2; exit 1; }
	@touch $@

$(PAGE): $(BUILD)/node/page/ready $(wildcard src/dashboard/*.js \
         src/dashboard/*.mjs src/dashboard/*.html src/dashboard/*.css)
	@node src/dashboard/build.mjs $(<D) $@

.PHONY: dashboard
dashboard: $(PAGE)  ## the operator's page; needs node and npm

.PHONY: test-dashboard
test-dashboard:  ## the page in headless Chromium, over a month of books
	@contrib/deps $(BROWSER_PACKAGES)
	@$(MAKE) -s --no-print-directory -j$(JOBS) all $(BOOKS) $(PAGE) \
	    $(BUILD)/node/browser/ready
	@$(BROWSER_ENV) t/run $(sort $(wildcard t/dashboard/*.t))

.PHONY: screenshots
screenshots:  ## docs/images, from a simulated month
	@contrib/deps $(BROWSER_PACKAGES)
	@$(MAKE) -s --no-print-directory -j$(JOBS) all $(BOOKS) $(PAGE) \
	    $(BUILD)/node/browser/ready
	@mkdir -p docs/images
	@$(BROWSER_ENV) t/dashboard/screenshots docs/images

BROWSER_ENV = PHOTA_MODULE=$(abspath $(MODULE)) PHOTA_CTL=$(abspath $(CTL)) \
              PHOTA_BOOKS=$(abspath $(BOOKS)) PHOTA_PAGE=$(abspath $(PAGE)) \
              PHOTA_BROWSER=$(abspath $(BUILD))/node/browser


# What money costs.  The books it makes are kept for the next run: BENCH_DIR
# says where, SMALL=1 makes a tenth of them.

BENCH_DIR   = $(BUILD)/bench/data
FAST_DISK   = /dev/shm
SMALL       =

$(BUILD)/bench/books: t/bench/books.c $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(CORE_FLAGS) -Wl,--wrap=phota_now -o $@ $< $(LIB) $(LIBS) \
	    -lpthread

$(BUILD)/bench/cache_growth: t/bench/cache_growth.c $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(CORE_FLAGS) -Wl,--wrap=phota_now -o $@ $< $(LIB) $(LIBS)

$(BUILD)/bench/load: t/bench/load.c
	@mkdir -p $(@D)
	@$(CC) $(STD) -O2 -g $(WARNINGS) -o $@ $<

$(BUILD)/bench/fill: t/bench/fill.c $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(CORE_FLAGS) -Wl,--wrap=mdb_txn_begin,--wrap=mdb_txn_commit \
	    -o $@ $< $(LIB) $(LIBS)

$(BUILD)/bench/hit: t/bench/hit.c $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(CORE_FLAGS) -o $@ $< $(LIB) $(LIBS)

.PHONY: bench-peers
bench-peers: test-deps  ## hits and misses beside what people use; SMALL=1: quick
	@contrib/deps varnish varnish-modules
	@$(MAKE) -s --no-print-directory -j$(JOBS) all $(BUILD)/bench/load
	@rm -f $(BUILD)/bench/rows
	@PHOTA_MODULE=$(abspath $(MODULE)) PHOTA_CTL=$(abspath $(CTL)) \
	    PHOTA_LOAD=$(abspath $(BUILD))/bench/load \
	    t/bench/peers $(if $(SMALL),--small) \
	    --report $(abspath $(BUILD))/bench/rows
	@PHOTA_MODULE=$(abspath $(MODULE)) PHOTA_CTL=$(abspath $(CTL)) \
	    PHOTA_LOAD=$(abspath $(BUILD))/bench/load TMPDIR=$(FAST_DISK) \
	    t/bench/peers $(if $(SMALL),--small) --work miss \
	    --report $(abspath $(BUILD))/bench/rows
	@t/bench/report $(BUILD)/bench/rows $(BUILD)/bench/report.md \
	    $(BUILD)/bench

.PHONY: bench
bench: test-deps  ## what the books cost, in ratios; SMALL=1: smaller ones
	@$(MAKE) -s --no-print-directory -j$(JOBS) all $(BUILD)/bench/books
	@PHOTA_MODULE=$(abspath $(MODULE)) PHOTA_CTL=$(abspath $(CTL)) \
	    PHOTA_BENCH=$(abspath $(BUILD))/bench/books \
	    t/bench/run $(if $(SMALL),--small) $(BENCH_DIR)

.PHONY: bench-cache
bench-cache: test-deps  ## the cache's file at its limit, slow clients, cold reads
	@$(MAKE) -s --no-print-directory -j$(JOBS) all $(BUILD)/bench/cache_growth
	@dir=$$(mktemp -d); trap "rm -rf $$dir" EXIT; \
	    $(BUILD)/bench/cache_growth $$dir 256 $(if $(SMALL),5,30)
	@PHOTA_MODULE=$(abspath $(MODULE)) PHOTA_CTL=$(abspath $(CTL)) \
	    t/bench/clients $(if $(SMALL),--small)

.PHONY: bench-growth
bench-growth: test-deps  ## many results, tenants, connections, entries; SMALL=1: fewer
	@$(MAKE) -s --no-print-directory -j$(JOBS) all \
	    $(BUILD)/bench/load $(BUILD)/bench/fill $(BUILD)/bench/hit \
	    $(BUILD)/bench/books
	@mkdir -p $(BENCH_DIR)
	@PHOTA_MODULE=$(abspath $(MODULE)) PHOTA_CTL=$(abspath $(CTL)) \
	    PHOTA_LOAD=$(abspath $(BUILD))/bench/load \
	    PHOTA_FILL=$(abspath $(BUILD))/bench/fill \
	    PHOTA_HIT=$(abspath $(BUILD))/bench/hit \
	    PHOTA_BENCH=$(abspath $(BUILD))/bench/books \
	    t/bench/growth $(if $(SMALL),--small) --books $(abspath $(BENCH_DIR))


# fuzzing: seeds lie in t/fuzz/corpus/NAME, finds are kept in the build

FUZZ_FLAGS  = -g -O1 -fsanitize=fuzzer,address,undefined \
              -fno-sanitize-recover=undefined

$(BUILD)/fuzz/%: t/fuzz/%.c $(wildcard t/fuzz/*.h) $(CORE_SRCS) $(HEADERS)
	@mkdir -p $(@D)
	@$(CLANG) $(STD) $(WARNINGS) $(FUZZ_FLAGS) -Isrc/core -It/fuzz -o $@ $< \
	    $(CORE_SRCS) $(LIBS)

.PHONY: fuzz fuzz-build
fuzz-build: $(FUZZERS)

fuzz:  ## libFuzzer, FUZZ_SECONDS=30 for each target
	@contrib/deps $(FUZZ_PACKAGES)
	@$(MAKE) -s --no-print-directory -j$(JOBS) fuzz-build
	@for fuzzer in $(FUZZERS); do \
	    contrib/fuzz $$fuzzer $(FUZZ_SECONDS); \
	done


# The strict look.  The module takes nginx's headers as the system's, and its
# handlers have the parameters that nginx gives them, used or not.

NGX_DIRS    = src/core src/event src/event/modules src/os/unix objs \
              src/http src/http/modules src/http/v2
NGX_LINT    = $(STD) -Wno-unused-parameter -Isrc/core -Isrc/command \
              -Isrc/ngx \
              $(NGX_DIRS:%=-isystem $(NGX_TREE)/%)
LINT_FLAGS  = $(STD) -O2 $(WARNINGS) $(INCLUDES)

.PHONY: lint
lint:  ## gcc, clang, cppcheck and clang-tidy
	@contrib/deps $(LINT_PACKAGES)
	@$(MAKE) -s --no-print-directory $(NGX_TREE)/objs/Makefile
	@for cc in $(CC) $(CLANG); do \
	    for f in $(CORE_SRCS) $(CMD_SRCS) $(CTL_SRCS); do \
	        $$cc $(LINT_FLAGS) -c -o /dev/null $$f; \
	    done; \
	    for f in $(NGX_SRCS); do \
	        $$cc -O2 $(WARNINGS) $(NGX_LINT) -c -o /dev/null $$f; \
	    done; \
	done
	@cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr -j $(JOBS) \
	    --enable=warning,performance,portability \
	    --suppressions-list=contrib/cppcheck \
	    $(INCLUDES) $(CORE_SRCS) $(CMD_SRCS) $(CTL_SRCS)
	@contrib/tidy $(JOBS) $(CORE_SRCS) $(CMD_SRCS) $(CTL_SRCS) -- $(STD) \
	    $(INCLUDES)
	@contrib/tidy $(JOBS) $(NGX_SRCS) -- $(NGX_LINT)
	@echo "lint: $(words $(CORE_SRCS) $(CMD_SRCS) $(CTL_SRCS) $(NGX_SRCS)) files clean"


# installing; CONF_DIR holds a complete example, files changed there are kept

.PHONY: install
install: all  ## DESTDIR, PREFIX, MODULES_DIR, SHARE_DIR, CONF_DIR
	@install -d $(DESTDIR)$(MODULES_DIR) $(DESTDIR)$(PREFIX)/sbin \
	    $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(CONF_DIR)
	@install -m 644 $(MODULE) $(DESTDIR)$(MODULES_DIR)/
	@install -m 755 $(CTL) $(DESTDIR)$(PREFIX)/sbin/
	@install -m 644 man/photactl.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	@install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	@$(CTL) completion bash \
	    > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/photactl
	@if [ -e $(PAGE) ]; then \
	    install -d $(DESTDIR)$(SHARE_DIR); \
	    install -m 644 $(PAGE) $(DESTDIR)$(SHARE_DIR)/; \
	fi
	@for f in nginx.conf phota_params phota_params_photio openapi.json \
	    phota_outbound_params phota_log_formats prices.csv prometheus.yml \
	    alerts.yml grafana.json; do \
	    to=$(DESTDIR)$(CONF_DIR)/$$f; \
	    if [ -e $$to ] && ! cmp -s conf/$$f $$to; then \
	        echo "kept $$to, the new one is $$to.new"; to=$$to.new; \
	    fi; \
	    install -m 644 conf/$$f $$to; \
	done

# Debian's packages.  What they are tested in is a root of its own, with
# nothing but a minimal Debian; DEB_ROOT is kept for the next time.

DEB         = $(BUILD)/deb
DEB_ROOT    = $(BUILD)/deb-root
DEB_VERSION =

.PHONY: deb
deb: $(PAGE)  ## packages for Debian 12, in build/deb
	@contrib/deps $(DEB_PACKAGES)
	@contrib/deb $(abspath $(DEB)) $(abspath $(PAGE)) $(DEB_VERSION)

.PHONY: test-deb
test-deb: deb  ## an operator's day with them: from install to purge
	@contrib/deps $(DAY_PACKAGES)
	@t/day/run $(abspath $(DEB)) $(abspath $(DEB_ROOT))

.PHONY: test-image
test-image: $(PAGE)  ## docker/: built by buildah, where it is there, and run
	@contrib/deps $(DAY_PACKAGES)
	@t/image/run $(abspath $(DEB_ROOT))

.PHONY: clean
clean:  ## remove the build directory
	@rm -rf $(BUILD)

.PHONY: help
help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) \
	    | while IFS=$$'\t' read -r target text; do \
	        printf '    make %-10s %s\n' "$$target" "$$text"; \
	    done
