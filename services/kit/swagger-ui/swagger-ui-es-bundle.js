// Left out: the page loads swagger-ui-bundle.js alone, and this file would be a part of every image for nothing.
