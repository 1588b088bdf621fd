package secretvalue

const (
	// Dots is the mask of a value of which nothing is shown. Its length is
	// fixed, so that it tells no length. The dots are ASCII: kubectl aligns its
	// columns by bytes.
	Dots = "........"

	// shownCharacters are the last ones of a value that its owner knows it by.
	shownCharacters = 4
	// minMaskedLength is the shortest value of which any are shown: of
	// anything shorter four would be too large a part.
	minMaskedLength = 16
)

// Mask returns what may be shown of v to those who may list it: dots and its
// last 4 characters where it is printable ASCII (0x20 to 0x7e) of 16 characters
// or more, else dots alone. Of a connection string nothing is shown, since its
// end may be a password as well as a database's name.
func Mask(v Value, connectionString bool) string {
	b := v.Bytes()
	if connectionString || len(b) < minMaskedLength || !printableASCII(b) {
		return Dots
	}
	return Dots + string(b[len(b)-shownCharacters:])
}

func printableASCII(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
