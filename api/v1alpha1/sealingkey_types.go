package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SealingKeySpec is a user's public key. Anyone may seal with it; only the
// operator can open what was sealed.
type SealingKeySpec struct {
	// owner is the Kubernetes username that the key was derived for.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Owner string `json:"owner"`

	// keyID is the id of the encryption key that the user's key comes from.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	KeyID string `json:"keyID"`

	// publicKey is the 1216-byte MLKEM768-X25519 public key (HPKE KEM 0x647a),
	// in base64 (RFC 4648, section 4).
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	PublicKey []byte `json:"publicKey"`

	// fingerprint is the SHA-256 fingerprint of the public key, for people to compare.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Fingerprint string `json:"fingerprint"`
}

// SealingKey publishes the public key of a user namespace's owner. There is
// one in every user namespace, named sealing-key, and only the operator may
// write it: whoever could replace it would receive the next value sealed.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=skey,categories=usersecret-operator
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'sealing-key'",message="the SealingKey of a namespace is named sealing-key"
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.spec.owner`
// +kubebuilder:printcolumn:name="Key",type=string,JSONPath=`.spec.keyID`
// +kubebuilder:printcolumn:name="Fingerprint",type=string,JSONPath=`.spec.fingerprint`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SealingKey struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	//
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the public key.
	//
	// +required
	Spec SealingKeySpec `json:"spec"`
}

// SealingKeyList is a list of SealingKeys.
//
// +kubebuilder:object:root=true
type SealingKeyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SealingKey `json:"items"`
}
