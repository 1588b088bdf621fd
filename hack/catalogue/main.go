// Command catalogue writes the page that lists the shipped providers, out of
// config/providers.
package main

import (
	"fmt"
	"os"

	"usersecrets.dev/operator/test/catalogue"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: catalogue FOLDER PAGE")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "catalogue:", err)
		os.Exit(1)
	}
}

// write writes the page of a folder of SecretProviders.
func write(folder, to string) error {
	files, err := catalogue.Load(folder)
	if err != nil {
		return err
	}
	return os.WriteFile(to, []byte(page(files)), 0o644)
}
