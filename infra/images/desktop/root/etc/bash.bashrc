# Settings of every interactive shell of the desktop: they are here because home starts empty.
case $- in *i*) ;; *) return ;; esac
shopt -s checkwinsize histappend
PS1='\[\e[1;33m\]\w\[\e[0m\] \[\e[1;31m\]›\[\e[0m\] '
eval "$(dircolors -b)"
alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto'
if [ -z "$WARMWIND_GREETED" ]; then
  export WARMWIND_GREETED=1
  printf '\n  \e[1;33m≋ Warmwind\e[0m   a desktop on demand\n\n'
  printf '  \e[90msystem\e[0m   %s\n' "$(. /etc/os-release && echo "$PRETTY_NAME")"
  printf '  \e[90muser\e[0m     %s, no privileges\n\n' "$(id -un)"
fi
