# SPDX-License-Identifier: MIT
#
# What is put on a Linux system, and where; included by the Makefile. Nothing but
# the files of INSTALLED is written, and `make uninstall` removes these.

VERSION := $(shell sed -n 's/^.define HAK_VERSION[ \t]*"\(.*\)"/\1/p' include/hakmem/hakmem.h)
# The interface stays through all versions with the same first number.
SONAME  := libhakmem.so.$(firstword $(subst ., ,$(VERSION)))
HARDENED_SONAME := $(subst libhakmem,libhakmem-hardened,$(SONAME))

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
DESTDIR    ?=
INSTALL    ?= install
STRIP      ?= strip

PUBLIC_HEADERS := $(addprefix include/hakmem/,hakmem.h pool.h samples.h stats.h provider.h)
MAN_PAGES      := $(wildcard platform/linux/man/*.[1-9])
man_directory = $(MANDIR)/man$(patsubst .%,%,$(suffix $(1)))

# What users call.
SCRIPTS := hakmem-run hakmem-map hakmem-top

CMAKE_FILES := hakmem-config.cmake hakmem-config-version.cmake
# Beside the library, where debuggers look for it; ldconfig would take a name with .so in it
# for a library.
DEBUG_FILE := libhakmem-$(VERSION).debug
HARDENED_DEBUG_FILE := libhakmem-hardened-$(VERSION).debug

INSTALLED := $(addprefix $(BINDIR)/,$(SCRIPTS)) \
	     $(LIBDIR)/pkgconfig/hakmem.pc $(LIBDIR)/libhakmem.a \
	     $(LIBDIR)/libhakmem.so.$(VERSION) $(LIBDIR)/$(SONAME) $(LIBDIR)/libhakmem.so \
	     $(addprefix $(LIBDIR)/cmake/hakmem/,$(CMAKE_FILES)) \
	     $(if $(HARDENED),$(LIBDIR)/libhakmem-hardened.so.$(VERSION) \
	     $(LIBDIR)/$(HARDENED_SONAME)) \
	     $(if $(STRIP),$(LIBDIR)/$(DEBUG_FILE) \
	     $(if $(HARDENED),$(LIBDIR)/$(HARDENED_DEBUG_FILE))) \
	     $(patsubst include/%,$(INCLUDEDIR)/%,$(PUBLIC_HEADERS)) \
	     $(foreach page,$(MAN_PAGES),$(call man_directory,$(page))/$(notdir $(page)))

# The directories are written into these files, so they are made anew every time.
fill_in = sed -e 's|@VERSION@|$(VERSION)|' -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	      -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@SONAME@|$(SONAME)|'

# A relative or empty directory would be written into hakmem-run as it is, and a
# space would make two files of one.
ifneq ($(filter install uninstall,$(MAKECMDGOALS)),)
ifeq ($(and $(BINDIR),$(LIBDIR),$(INCLUDEDIR),$(MANDIR)),)
$(error a directory to install to is empty)
endif
$(foreach v,PREFIX DESTDIR BINDIR LIBDIR INCLUDEDIR MANDIR,$(call must_be_path,$(v)))
endif

# A library, and beside it what debuggers want to know.
install_library = \
	$(if $(STRIP),cd $(L) && $(HOSTOBJCOPY) --only-keep-debug $(1).so $(2) && \
		$(STRIP) -o stripped.so $(1).so && \
		$(HOSTOBJCOPY) --add-gnu-debuglink=$(2) stripped.so && cd $(CURDIR) && \
		$(INSTALL) -m 644 $(L)/$(2) $(DESTDIR)$(LIBDIR)/ &&) \
	$(INSTALL) -m 644 $(L)/$(if $(STRIP),stripped,$(1)).so \
		$(DESTDIR)$(LIBDIR)/$(1).so.$(VERSION) && \
	ln -sf $(1).so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(strip $(3))

install: linux
	$(INSTALL) -d $(sort $(dir $(addprefix $(DESTDIR),$(INSTALLED))))
	$(INSTALL) -m 644 $(PUBLIC_HEADERS) $(DESTDIR)$(INCLUDEDIR)/hakmem/
	$(INSTALL) -m 644 $(L)/libhakmem.a $(DESTDIR)$(LIBDIR)/
	$(call install_library,libhakmem,$(DEBUG_FILE),$(SONAME))
	$(if $(HARDENED),\
		$(call install_library,libhakmem-hardened,$(HARDENED_DEBUG_FILE),\
			$(HARDENED_SONAME)))
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libhakmem.so
	$(foreach page,$(MAN_PAGES),\
		$(INSTALL) -m 644 $(page) $(DESTDIR)$(call man_directory,$(page))/ &&) :
	$(fill_in) platform/linux/hakmem.pc.in >$(L)/hakmem.pc
	$(INSTALL) -m 644 $(L)/hakmem.pc $(DESTDIR)$(LIBDIR)/pkgconfig/
	$(foreach file,$(CMAKE_FILES),$(fill_in) platform/linux/$(file).in >$(L)/$(file) && \
		$(INSTALL) -m 644 $(L)/$(file) $(DESTDIR)$(LIBDIR)/cmake/hakmem/ &&) :
	$(foreach script,$(SCRIPTS),$(fill_in) platform/linux/$(script).in >$(L)/$(script) && \
		$(INSTALL) -m 755 $(L)/$(script) $(DESTDIR)$(BINDIR)/ &&) :

# Of the directories only the one that is ours.
uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	@rmdir $(DESTDIR)$(INCLUDEDIR)/hakmem 2>/dev/null || :

# ------------------------------------------------------------- Debian packages

DEB_PACKAGES := $(PACKAGES) build-essential debhelper dpkg-dev fakeroot lintian

setup-deb:
	@tests/setup.sh $(DEB_PACKAGES)

deb: dist
	@platform/linux/deb.sh $(O)/deb $(VERSION) $(DIST).tar.gz

# Needs root: packages are installed into a system of their own below $(O)/deb.
deb-test: deb
	@tests/install/deb.sh $(O)/deb

.PHONY: install uninstall setup-deb deb deb-test
