package main

// places bound how many do something at once; the others wait in line. Nil bounds
// nothing.
type places chan struct{}

// newPlaces are n; none bound where n is 0.
func newPlaces(n int) places {
	if n == 0 {
		return nil
	}
	return make(places, n)
}

// take waits for a place; what it returns leaves it.
func (p places) take() (leave func()) {
	if p == nil {
		return func() {}
	}
	p <- struct{}{}
	return func() { <-p }
}
