package main

import "testing"

// withFlags are the options that args give, and what is wrong with them in words;
// empty where nothing is.
func withFlags(t *testing.T, args ...string) (o *options, wrong string) {
	t.Helper()
	o = defaults()
	cmd := command()
	cmd.ResetFlags()
	o.bind(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	if err := o.validate(); err != nil {
		wrong = err.Error()
	}
	return o, wrong
}
