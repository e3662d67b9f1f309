package githubtest

// PullRequestClosed returns the payload of a pull request that a person closed; head is its branch.
func PullRequestClosed(p Params, number int, head string) []byte {
	root := about(PullClosed, p)
	pr := root.at("pull_request")
	root["number"], pr["number"] = number, number
	pr.at("head")["ref"] = head
	return root.text()
}

// Commented returns the payload of a person's comment on a pull request.
func Commented(p Params, number int, body string) []byte {
	root := about(CommentOnPull, p)
	root.at("issue")["number"] = number
	root.at("comment")["body"] = body
	return root.text()
}
