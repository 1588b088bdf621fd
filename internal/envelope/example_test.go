package envelope_test

import (
	"bytes"
	"fmt"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

// Anyone seals with the public key; the operator, which has the encryption key,
// opens, and for the right place only.
func Example() {
	encryptionKey := bytes.Repeat([]byte{0x42}, envelope.EncryptionKeySize) // random, outside examples
	keyID, err := envelope.NewKeyID("v1", encryptionKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	userKey, err := envelope.DeriveUserKey(keyID, encryptionKey, "alice")
	if err != nil {
		fmt.Println(err)
		return
	}

	place := envelope.Binding{Owner: "alice", Namespace: "alice-flows", Name: "openai"}
	text, err := userKey.PublicKey().Seal(place, secretvalue.FromString("a value"))
	if err != nil {
		fmt.Println(err)
		return
	}

	sealed, err := envelope.Parse(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := userKey.Open(sealed, place)
	fmt.Printf("%s: %d bytes, printed as %v, error %v\n", sealed.KeyID().Name(), value.Len(), value, err)

	_, err = userKey.Open(sealed, envelope.Binding{Owner: "alice", Namespace: "alice-flows", Name: "slack"})
	fmt.Println(err)
	// Output:
	// v1: 7 bytes, printed as [redacted], error <nil>
	// the sealed value does not open here: it was sealed for another owner, namespace, name or key, or it was altered; seal the value again for this owner, namespace and name
}
