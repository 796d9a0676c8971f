using System.Globalization;
using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Wire;

/// <summary>R5.1 with clients that choose HTTP/2 by themselves over TLS, and fetch what belongs together at once.</summary>
public sealed class TlsClientTests
{
    private const string Repository = "tls/app";
    private const int Layers = 8;
    private const int LayerLength = 400_000;

    [Fact]
    public async Task Curl_downloads_many_at_once_over_one_connection()
    {
        var curl = Tool.Require("curl").With("--silent", "--show-error", "--fail", "--noproxy", "*");
        await using var server = await WireServer.StartAsync(new SharedFolder());
        await using var folder = new TempFolder();
        var content = RegistryClient.RandomBytes(LayerLength);
        using var http = WireProtocol.Http2OverTls.Client(server.Url(WireProtocol.Http2OverTls));
        var digest = await http.PushBlobAsync(Repository, content);
        string[] files = [.. Enumerable.Range(0, 32).Select(i => folder[i.ToString(CultureInfo.InvariantCulture)])];
        string[] downloads =
            [.. files.SelectMany(file => (string[])["--output", file, $"https://{server.TlsHost}/v2/{Repository}/blobs/{digest}"])];

        for (var round = 0; round < Counts.Of(2, 100); round++)
        {
            var versions = await curl.RunAsync(
                ["--cacert", server.CertificateFile, "--http2", "--parallel", "--write-out", "%{http_version}\n", .. downloads]);

            versions.Split('\n').Select(line => line.Trim()).ShouldAllBe(version => version == "2");
            foreach (var file in files)
            {
                (await File.ReadAllBytesAsync(file)).ShouldBeBytes(content);
                File.Delete(file);
            }
        }
    }

    [Fact]
    public async Task Oras_copies_an_image_out_and_in_again()
    {
        var oras = Tool.Require("oras");
        await using var server = await WireServer.StartAsync(new SharedFolder());
        await using var folder = new TempFolder();
        var image = await PushImageAsync(server);

        for (var round = 0; round < Counts.Of(3, 40); round++)
        {
            var layout = folder[$"out-{round}"];
            await oras.RunAsync(
                "cp", "--no-tty", "--concurrency", "8", "--from-ca-file", server.CertificateFile, "--to-oci-layout",
                $"{server.TlsHost}/{Repository}:v1", $"{layout}:v1");
            await ShouldBeWholeAsync(layout, image);
        }

        await oras.RunAsync(
            "cp", "--no-tty", "--concurrency", "8", "--from-oci-layout", "--to-ca-file", server.CertificateFile,
            $"{folder["out-0"]}:v1", $"{server.TlsHost}/tls/copy:v1");
        await ShouldHaveAsync(server, "tls/copy", image);
    }

    [Fact]
    public async Task Crane_pulls_an_image_and_pushes_it_again()
    {
        await using var server = await WireServer.StartAsync(new SharedFolder());
        await using var folder = new TempFolder();
        var crane = Tool.Require("crane").WithVariable("SSL_CERT_FILE", server.CertificateFile);
        var image = await PushImageAsync(server);

        for (var round = 0; round < Counts.Of(3, 40); round++)
        {
            var layout = folder[$"out-{round}"];
            await crane.RunAsync("pull", "--format", "oci", $"{server.TlsHost}/{Repository}:v1", layout);
            await ShouldBeWholeAsync(layout, image);
        }

        await crane.RunAsync("push", folder["out-0"], $"{server.TlsHost}/tls/copy:v1");
        await ShouldHaveAsync(server, "tls/copy", image);
    }

    private static async Task<byte[]> PushImageAsync(WireServer server)
    {
        using var http = WireProtocol.Http2OverTls.Client(server.Url(WireProtocol.Http2OverTls));
        var config = """{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"""u8.ToArray();
        await http.PushBlobAsync(Repository, config);
        byte[][] layers = [.. Enumerable.Range(0, Layers).Select(_ => RegistryClient.RandomBytes(LayerLength))];
        await Task.WhenAll(layers.Select(layer => http.PushBlobAsync(Repository, layer)));
        var manifest = RegistryClient.ImageManifest(config, layers);
        using var put = await http.PutManifestAsync(Repository, "v1", manifest);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        return manifest;
    }

    /// <summary>Config, layers and manifest, each with the bytes that its name promises.</summary>
    private static async Task ShouldBeWholeAsync(string layout, byte[] manifest)
    {
        OciLayout.Digest(layout).ShouldBe(Digest.Of(manifest).ToString());
        var blobs = OciLayout.Blobs(layout);
        blobs.Length.ShouldBe(Layers + 2);
        foreach (var blob in blobs)
        {
            Digest.Of(await File.ReadAllBytesAsync(Path.Combine(layout, "blobs", "sha256", blob))).Hex.ShouldBe(blob);
        }
    }

    private static async Task ShouldHaveAsync(WireServer server, string repository, byte[] manifest)
    {
        using var http = WireProtocol.Http2OverTls.Client(server.Url(WireProtocol.Http2OverTls));
        using var got = await http.GetManifestAsync(repository, "v1");
        await got.ShouldBeContentAsync(Digest.Of(manifest), manifest);
    }
}
