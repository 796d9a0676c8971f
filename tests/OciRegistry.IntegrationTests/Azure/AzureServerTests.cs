using System.Net;
using System.Text;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Specialized;
using Azure.Storage.Sas;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Azure;

/// <summary>The server over a container: what it says of one that it cannot store in, and what passes it by.</summary>
public sealed class AzureServerTests
{
    private const string Section = "OciRegistry:Storage:AzureBlobs";

    private readonly string _repository = RegistryClient.NewRepository();

    [Fact]
    public async Task It_starts_with_a_key_and_with_a_SAS_and_makes_its_container()
    {
        var azurite = await AzuriteServer.SharedAsync();
        var container = AzuriteServer.NewContainer();
        await using (var server = await ServerProcess.StartWithAsync(
            null,
            $"{Section}:ServiceUri={azurite.ServiceUri}", $"{Section}:AccountKey={AzuriteServer.Key}", $"{Section}:Container={container}"))
        {
            await server.Http.PushImageAsync(_repository, "v1");
        }

        var sas = Sas(azurite, AccountSasPermissions.All, TimeSpan.FromHours(1));
        await using (var server = await ServerProcess.StartWithAsync(
            null, $"{Section}:ServiceUri={azurite.ServiceUri}?{sas}", $"{Section}:Container={container}", $"{Section}:CreateContainer=false"))
        {
            using var pulled = await server.Http.GetManifestAsync(_repository, "v1");
            pulled.StatusCode.ShouldBe(HttpStatusCode.OK);
            await server.UntilLoggedAsync($"Storing in {azurite.ServiceUri}/{container}");
            server.Log.ShouldNotContain("sig=");
        }

        await new BlobContainerClient(azurite.ConnectionString, container).DeleteAsync();
    }

    [Fact]
    public async Task It_stores_over_TLS_with_the_authority_of_the_settings()
    {
        await using var folder = new TempFolder();
        var (certificate, key) = await TestCertificate.WriteAsync(folder.Path);
        await using var azurite = await AzuriteServer.StartAsync("--cert", certificate, "--key", key);
        var uri = $"https://127.0.0.1:{azurite.Port}/{AzuriteServer.Account}";
        await using var server = await ServerProcess.StartWithAsync(
            null, $"{Section}:ServiceUri={uri}", $"{Section}:AccountKey={AzuriteServer.Key}", $"{Section}:CertificateAuthority={certificate}");

        var manifest = await server.Http.PushImageAsync(_repository, "v1");

        using var pulled = await server.Http.GetManifestAsync(_repository, "v1");
        await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
    }

    [Fact]
    public async Task Two_registries_with_prefixes_share_a_container_and_know_nothing_of_each_other()
    {
        await using var container = await SharedContainer.CreateAsync();
        await using var one = await ServerProcess.StartWithAsync(null, [.. container.Settings, $"{Section}:Prefix=team/one"]);
        await using var two = await ServerProcess.StartWithAsync(null, [.. container.Settings, $"{Section}:Prefix=team/on"]);
        await one.Http.PushImageAsync(_repository, "v1");
        using (var unknown = await two.Http.GetManifestAsync(_repository, "v1"))
        {
            unknown.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        foreach (var (server, names) in new (ServerProcess, string[])[] { (one, [_repository]), (two, []) })
        {
            using var catalog = await server.Http.RequestAsync("GET", "/v2/_catalog");
            (await catalog.JsonAsync()).Texts("repositories").ShouldBe(names);
        }
    }

    [Theory]
    [InlineData("wrong key", "refuses the registry")]
    [InlineData("expired SAS", "refuses the registry")]
    [InlineData("SAS that only reads", "refuses the registry")]
    [InlineData("no container", "is missing. Create it")]
    [InlineData("nobody there", "cannot be reached")]
    [InlineData("no blob service", "no blob service")]
    public async Task It_does_not_start_where_it_cannot_store_and_says_what_and_where(string wrong, string said)
    {
        var azurite = await AzuriteServer.SharedAsync();
        await using var other = await ServerProcess.StartAsync();
        var container = AzuriteServer.NewContainer();
        await new BlobContainerClient(azurite.ConnectionString, container).CreateAsync();
        var key = $"{Section}:AccountKey={AzuriteServer.Key}";
        string[] settings = wrong switch
        {
            "wrong key" => [$"{Section}:ServiceUri={azurite.ServiceUri}", $"{Section}:AccountKey={Convert.ToBase64String(new byte[64])}"],
            "expired SAS" => [$"{Section}:ServiceUri={azurite.ServiceUri}?{Sas(azurite, AccountSasPermissions.All, TimeSpan.FromHours(-1))}"],
            "SAS that only reads" => [$"{Section}:ServiceUri={azurite.ServiceUri}?{Sas(azurite, AccountSasPermissions.Read, TimeSpan.FromHours(1))}"],
            "no container" => [$"{Section}:ServiceUri={azurite.ServiceUri}", key, $"{Section}:CreateContainer=false"],
            "nobody there" => [$"{Section}:ServiceUri=http://127.0.0.1:{FreePort.Next()}/{AzuriteServer.Account}", key],
            _ => [$"{Section}:ServiceUri=http://{other.Host}/{AzuriteServer.Account}", key],
        };
        string[] line =
        [
            "--urls=http://127.0.0.1:0", $"--{Section}:Container={(wrong == "no container" ? AzuriteServer.NewContainer() : container)}",
            .. settings.Select(setting => $"--{setting}"),
        ];
        foreach (var arguments in (string[][])[line, ["--check", .. line]])
        {
            var result = await Tool.Require(Checkout.ServerExecutable).TryRunAsync(arguments);
            result.ExitCode.ShouldBe(1);
            result.Error.ShouldContain(said);
            result.Error.ShouldContain("http://127.0.0.1:");
            result.Error.ShouldNotContain("sig=");
            result.Error.ShouldNotContain("   at ");
        }

        await new BlobContainerClient(azurite.ConnectionString, container).DeleteAsync();
    }

    [Fact]
    public async Task A_container_that_is_deleted_meanwhile_is_unavailable_and_not_empty()
    {
        var storage = await AzureStorage.CreateAsync();
        await using var server = await ServerProcess.StartWithAsync(
            null,
            $"{Section}:ConnectionString={storage.Options.ConnectionString}", $"{Section}:Container={storage.Options.Container}",
            $"{Section}:RetryFor=00:00:01");
        var content = RegistryClient.RandomBytes(1_000);
        await server.Http.PushImageAsync(_repository, "v1");
        await server.Http.PushBlobAsync(_repository, content);
        await storage.DeleteAsync();

        string[] reads =
        [
            $"manifests/v1", $"manifests/{Digest.Of(content)}", $"blobs/{Digest.Of(content)}", "tags/list", $"referrers/{Digest.Of(content)}",
        ];
        foreach (var path in reads)
        {
            using var read = await server.Http.RequestAsync("GET", $"/v2/{_repository}/{path}");
            await read.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        using (var start = await server.Http.StartUploadAsync(_repository))
        {
            await start.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        using var ready = await server.Http.RequestAsync("GET", "/readyz");
        ready.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        await server.UntilLoggedAsync("is missing. Create it");
        storage.Container().Client.Exists().Value.ShouldBeFalse("it was not made anew");
    }

    [Fact]
    public async Task What_others_have_put_under_its_names_harms_nothing_else()
    {
        var storage = await AzureStorage.CreateAsync();
        await using var server = await ServerProcess.StartWithAsync(
            null,
            $"{Section}:ConnectionString={storage.Options.ConnectionString}", $"{Section}:Container={storage.Options.Container}");
        var manifest = await server.Http.PushImageAsync(_repository, "v1");
        foreach (var name in new[]
        {
            "readme.txt", "documents/readme.txt", $"documents/repositories/{_repository}/_tags@", $"documents/repositories/{_repository}/_tags@v2",
            $"documents/repositories/{_repository}/_tags@v3=!", "blobs/sha256/00/nonsense", "_pieces/nonsense", "_data/nonsense",
        })
        {
            await storage.Container().Blob(name).UploadAsync(new MemoryStream(Encoding.UTF8.GetBytes("not ours")));
        }

        using (var tags = await server.Http.RequestAsync("GET", $"/v2/{_repository}/tags/list"))
        {
            (await tags.JsonAsync()).Texts("tags").ShouldBe(["v1"]);
        }

        // A blob of another kind cannot be overwritten: said so in the log, and 503.
        var foreign = storage.Container().Client.GetAppendBlobClient(
            OciRegistry.Azure.AzureNames.Document(new DocumentKey($"repositories/{_repository}/_tags", "v4")));
        await foreign.CreateAsync();
        using (var unknown = await server.Http.GetManifestAsync(_repository, "v4"))
        {
            unknown.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable); // a tag that cannot be read is never called missing
        }

        using (var refused = await server.Http.PutManifestAsync(_repository, "v4", manifest))
        {
            ((int)refused.StatusCode).ShouldBeOneOf(201, 503); // Azurite lets it be overwritten, Azure does not
        }

        await server.Http.PushImageAsync(_repository, "v5");
        await storage.DeleteAsync();
    }

    [Fact]
    public async Task With_redirects_a_pull_gets_its_content_from_the_storage_itself()
    {
        await using var container = await SharedContainer.CreateAsync();
        await using var server = await ServerProcess.StartWithAsync(
            null, [.. container.Settings, $"{Section}:Redirect=true", $"{Section}:RedirectLifetime=00:00:08"]);
        var content = RegistryClient.RandomBytes(100_000);
        await server.Http.PushBlobAsync(_repository, content);
        var path = $"/v2/{_repository}/blobs/{Digest.Of(content)}";

        using (var head = await server.Http.HeadBlobAsync(_repository, Digest.Of(content)))
        {
            head.StatusCode.ShouldBe(HttpStatusCode.OK);
            head.Content.Headers.ContentLength.ShouldBe(content.Length);
            head.Header("Docker-Content-Digest").ShouldBe(Digest.Of(content).ToString());
        }

        using var redirected = await server.Http.RequestAsync("GET", path);
        redirected.StatusCode.ShouldBe(HttpStatusCode.TemporaryRedirect);
        redirected.Content.Headers.ContentLength.ShouldBe(0);
        redirected.Header("Docker-Content-Digest").ShouldBe(Digest.Of(content).ToString());
        var elsewhere = redirected.Headers.Location!;
        using var client = new HttpClient();
        (await client.GetByteArrayAsync(elsewhere)).ShouldBe(content);
        using (var part = await client.RequestAsync("GET", elsewhere.ToString(), ("Range", "bytes=10-19")))
        {
            part.StatusCode.ShouldBe(HttpStatusCode.PartialContent);
            (await part.Content.ReadAsByteArrayAsync()).ShouldBe(content[10..20]);
        }

        // Nothing but that: not to write, not another blob, and not for long.
        using (var put = await client.PutAsync(elsewhere, new ByteArrayContent([1]) { Headers = { { "x-ms-blob-type", "BlockBlob" } } }))
        {
            put.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        }

        using (var another = await client.GetAsync(new Uri(elsewhere.ToString().Replace("_data/", "_data/0", StringComparison.Ordinal))))
        {
            another.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        }

        await Until.TrueAsync(
            async () => (await client.GetAsync(elsewhere)).StatusCode == HttpStatusCode.Forbidden, "the address has expired");

        // What the storage would not understand is served here.
        foreach (var (name, value, status) in new[]
        {
            ("Range", "bytes=-10", 206), ("Range", "bytes=0-1,5-6", 206), ("Range", "bytes=999999-", 416),
            ("If-None-Match", $"\"{Digest.Of(content)}\"", 304), ("If-None-Match", "\"other\"", 200),
        })
        {
            using var here = await server.Http.RequestAsync("GET", path, (name, value));
            ((int)here.StatusCode).ShouldBe(status, $"{name}: {value}");
        }

        using (var unknown = await server.Http.RequestAsync("GET", $"/v2/{_repository}/blobs/{Digest.Of("other"u8)}"))
        {
            await unknown.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
        }

        server.Log.ShouldNotContain("sig=");
        server.Log.ShouldNotContain("_data/");
    }

    [Fact]
    public async Task Content_that_was_deleted_behind_its_back_is_unknown_until_it_is_pushed_again()
    {
        // R2.1
        var storage = await AzureStorage.CreateAsync();
        await using var replicas = await ReplicaSet.StartAsync(
            await SharedContainer.CreateAsync(), withRedis: false,
            $"{Section}:Container={storage.Options.Container}");
        var content = RegistryClient.RandomBytes(50_000);
        await replicas[0].Http.PushBlobAsync(_repository, content);
        await replicas.ShouldServeAsync(_repository, content);
        foreach (var name in await storage.NamesAsync())
        {
            if (name.StartsWith("_data/", StringComparison.Ordinal))
            {
                await storage.Container().Blob(name).DeleteAsync();
            }
        }

        for (var i = 0; i < replicas.Count; i++)
        {
            using var head = await replicas[i].Http.HeadBlobAsync(_repository, Digest.Of(content));
            head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            using var pulled = await replicas[i].Http.GetBlobAsync(_repository, Digest.Of(content));
            await pulled.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
            await replicas[i].UntilLoggedAsync("pushing it again repairs it");
        }

        await replicas[1].Http.PushBlobAsync(_repository, content);
        await replicas.ShouldServeAsync(_repository, content);
        await storage.DeleteAsync();
    }

    private static string Sas(AzuriteServer azurite, AccountSasPermissions permissions, TimeSpan lifetime)
    {
        var service = new BlobServiceClient(azurite.ConnectionString);
        var now = DateTimeOffset.UtcNow;
        return service.GenerateAccountSasUri(new AccountSasBuilder(
            permissions, now + lifetime, AccountSasServices.Blobs, AccountSasResourceTypes.All)
        {
            StartsOn = now - TimeSpan.FromHours(2),
        }).Query.TrimStart('?');
    }
}
