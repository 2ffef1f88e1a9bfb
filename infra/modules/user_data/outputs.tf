output "text" {
  description = "The user data as it is: cloud-config that writes the host's settings and starts what the image brought."
  value = templatefile("${path.module}/user-data.yaml.tftpl", {
    settings        = local.settings
    authorized_keys = local.authorized_keys
  })
}
