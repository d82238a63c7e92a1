//go:build !unix

package direct

// quiet cannot look into a connection here without waiting; its age has to do.
func quiet(c *conn) bool { return c.reader.Buffered() == 0 }
