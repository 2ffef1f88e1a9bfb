# In a file of its own: Packer before 1.7 has the plugin built in and does not know this block; leave the file out there.
packer {
  required_version = ">= 1.7.0"

  required_plugins {
    amazon = {
      version = "~> 1.3"
      source  = "github.com/hashicorp/amazon"
    }
  }
}
