# VP_PKG(PREFIX, MODULES, VERSION, DEBIAN-PACKAGE)
# Finds MODULES, each at least VERSION, or stops with the Debian package's name.
AC_DEFUN([VP_PKG], [
	vp_spec=""
	for vp_module in $2; do vp_spec="$vp_spec $vp_module >= $3"; done
	PKG_CHECK_MODULES([$1], [$vp_spec], [], [AC_MSG_ERROR([
*** $2 (at least version $3) is missing.
*** On Debian: apt-get install $4])])
])

# VP_FLAG(VARIABLE, FLAG): adds FLAG when the compiler takes it silently.
AC_DEFUN([VP_FLAG], [
	AC_MSG_CHECKING([whether $CC takes $2])
	vp_save_CFLAGS="$CFLAGS"
	CFLAGS="$CFLAGS -Werror $2"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
		[AC_MSG_RESULT([yes]); $1="$$1 $2"],
		[AC_MSG_RESULT([no])])
	CFLAGS="$vp_save_CFLAGS"
])

AC_DEFUN([VP_WARNINGS], [
	VP_CFLAGS="-std=gnu17"
	for vp_flag in -Wall -Wextra -Wformat=2 -Wshadow -Wstrict-prototypes \
	    -Wmissing-prototypes -Wold-style-definition -Wwrite-strings \
	    -Wpointer-arith -Wcast-qual -Wcast-align=strict -Wvla -Wundef \
	    -Wswitch-enum -Wimplicit-fallthrough=5 -Wnull-dereference \
	    -Wlogical-op -Wduplicated-cond -Wduplicated-branches \
	    -Wjump-misses-init -Wdouble-promotion -Wconversion \
	    -Wno-sign-conversion -Wno-gnu-zero-variadic-macro-arguments; do
		VP_FLAG([VP_CFLAGS], [$vp_flag])
	done
])

# Hardening, or the sanitizers in its place.
AC_DEFUN([VP_HARDENING], [
	AS_IF([test "x$1" != x && test "x$1" != xno], [
		VP_CFLAGS="$VP_CFLAGS -fsanitize=$1 -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1"
		VP_LDFLAGS="-fsanitize=$1"
	], [
		VP_CFLAGS="$VP_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"
		for vp_flag in -fstack-protector-strong -fstack-clash-protection \
		    -fcf-protection=full -ftrivial-auto-var-init=zero; do
			VP_FLAG([VP_CFLAGS], [$vp_flag])
		done
		VP_CFLAGS="$VP_CFLAGS -fPIE"
		VP_LDFLAGS="-pie -Wl,-z,relro,-z,now,-z,noexecstack"
	])
])
