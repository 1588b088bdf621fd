package projection

// turns bounds how many do something at once; the others wait in line.
type turns chan struct{}

// begin waits for a turn; what it returns ends it.
func (t turns) begin() (end func()) {
	t <- struct{}{}
	return func() { <-t }
}
