// Package bridge carries the requests of the federated endpoint to one server, in whatever
// revision of the protocol the client and the server speak.
//
// The endpoint's client knows one session at most: its own with the endpoint. A [Link] keeps those
// that servers of the older protocol want, one for each client, opens them when they are first
// needed, and opens another where the server has forgotten one. Where client and server speak the
// same revision it changes headers and nothing else. Else it puts a message into the other form:
//
//   - A question that an older server puts to a newer client (elicitation, sampling, roots) becomes
//     a result that asks for input. The call at the server waits in a table until the client
//     sends its request again with the answer.
//   - An input that a newer server asks of an older client becomes a question on the stream of the
//     call. When the client has answered all, the request is sent again with the answers.
//
// A permit is exchanged for one of the same request in the other form, so that everything that a
// client has said travels on the decision about that message. What the Link says of its own accord
// is an errand.
//
// Not bridged, and refused in so many words: subscriptions to resources, a question from a server
// to a client that did not declare that it can be asked, and a newer server's wish to be asked
// again without an input from the client. Not heard is what an older server says on the stream of
// its session instead of that of a call; nor is an answer fetched anew whose stream broke.
//
// Values are not decoded and written anew: a message in another form is made of pieces of the
// bytes that came, and read strictly once more before it is sent.
//
// The package may be imported by gateway/config and cmd/sallyport.
package bridge
