// Package policies holds the example policies, one folder each, so that a program can carry
// them: the demo runs phishing-defence exactly as it stands here. It decides nothing itself;
// anybody may import it.
package policies
