# Who sits at the first console does there what the scenario tells him.
if [ "$(tty)" = /dev/tty1 ] && [ -x /run/machine/guest ]; then
	exec /run/machine/guest session
fi
