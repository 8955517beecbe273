"""Papers (凭证、告知单): a code under which a stranger verifies a printed paper, and the typesetting of PDFs. Knows no slice's business."""
