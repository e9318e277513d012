package main

// quietly runs f while nobody is asked anything: what is typed meanwhile at the
// terminal does not show, and is no answer to what is asked next.
func (c *cli) quietly(f func() error) error {
	if !c.inTTY {
		return f()
	}
	fd := c.in.Fd()
	hide, shows, err := withoutEcho(fd)
	if err != nil {
		return f() // it is as good as it can be
	}
	hide()
	end := onResume(hide) // the shell makes the terminal show it again
	defer func() {
		end()
		shows()
		flushTyped(fd)
	}()
	return f()
}
