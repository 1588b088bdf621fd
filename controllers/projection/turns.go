package projection

// turns bounds how many do something at once; the others wait in line.
type turns chan struct{}

// begin waits for a turn; what it returns ends it.
func (t turns) begin() (end func()) {
	t <- struct{}{}
	return t.end
}

// try begins a turn where that needs no waiting.
func (t turns) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t turns) end() { <-t }
