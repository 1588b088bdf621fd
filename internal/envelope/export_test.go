package envelope

// CheckSuite and ReplaceUsable let tests meet a build without the primitives.
var CheckSuite = checkSuite

// ReplaceUsable puts answer in the place of the check, until restore.
func ReplaceUsable(answer error) (restore func()) {
	before := usable
	usable = func() error { return answer }
	return func() { usable = before }
}
