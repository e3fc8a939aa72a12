#!/bin/sh
# Removes files that a running desktop never reads: documentation, translations, package lists, 3D drivers,
# Perl, set-uid bits.
set -eu
rm -rf /usr/share/doc /usr/share/man /usr/share/info /usr/share/lintian /usr/share/bug /usr/share/locale \
  /usr/share/i18n /usr/lib/*/gconv /usr/share/icons /usr/share/pixmaps/* /usr/share/jwm \
  /var/lib/apt/lists /var/cache/* /var/log/* /var/lib/dpkg/info/*.md5sums /var/backups /boot /debootstrap
# Without them GLX is off; no program of the image draws in 3D.
rm -rf /usr/lib/*/dri /usr/lib/*/libLLVM* /usr/lib/*/libz3* /usr/lib/*/libgallium*
# Only TigerVNC's wrapper script, which is not used, wants more than perl-base.
rm -rf /usr/share/perl /usr/share/perl5 /usr/lib/*/perl /usr/lib/*/libperl.so* /usr/lib/*/perl5
mkdir -p /var/cache/fontconfig /var/cache/apt/archives/partial /var/lib/apt/lists/partial /var/log/apt
fc-cache --force --system-only
find / -xdev -perm /6000 -type f -exec chmod ug-s {} +
