using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>end-7a and end-7b: PUT of a manifest, by tag or by digest, with more tags.</summary>
public sealed class ManifestPushTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _manifest = RegistryClient.EmptyIndex();

    private Digest Digest => Digest.Of(_manifest);

    [Fact]
    public async Task A_manifest_is_pushed_by_tag()
    {
        using var put = await PutAsync("v1");

        await put.ShouldHaveCreatedAsync(_http, Digest, _manifest);
        put.Headers.Location!.ToString().ShouldBe($"/v2/{_repository}/manifests/{Digest}");
        put.Header("ETag").ShouldBe($"\"{Digest}\"");
        put.Header("OCI-Subject").ShouldBeNull();
        put.Header("OCI-Tag").ShouldBeNull();
    }

    [Fact]
    public async Task A_manifest_is_pushed_by_digest()
    {
        using var put = await PutAsync(Digest.ToString());

        await put.ShouldHaveCreatedAsync(_http, Digest, _manifest);
        using var tags = await _http.RequestAsync("GET", $"/v2/{_repository}/tags/list");
        (await tags.JsonAsync()).Texts("tags").ShouldBeEmpty();
    }

    [Fact]
    public async Task The_bytes_are_kept_exactly_as_they_came()
    {
        var odd = "\n{ \"manifests\":[ ]\t,\"schemaVersion\":2,\"unknown\":{\"z\":1,\"a\":[null,1.50,\"\\u00e4\"]}}\r\n "u8
            .ToArray();

        using var put = await _http.PutManifestAsync(_repository, "v1", odd, MediaTypes.ImageIndex);

        await put.ShouldHaveCreatedAsync(_http, Digest.Of(odd), odd);
    }

    [Fact]
    public async Task Pushing_again_moves_the_tag_and_keeps_the_former_manifest()
    {
        using var first = await PutAsync("v1");
        var other = RegistryClient.EmptyIndex();

        using var second = await _http.PutManifestAsync(_repository, "v1", other, MediaTypes.ImageIndex);

        using var tag = await _http.GetManifestAsync(_repository, "v1");
        await tag.ShouldBeContentAsync(Digest.Of(other), other);
        using var former = await _http.GetManifestAsync(_repository, Digest.ToString());
        await former.ShouldBeContentAsync(Digest, _manifest);
    }

    [Fact]
    public async Task A_body_with_another_digest_than_its_address_is_refused()
    {
        var other = Digest.Of(RegistryClient.EmptyIndex());

        using var put = await PutAsync($"{other}?tag=v1");

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
        foreach (var reference in new[] { other.ToString(), Digest.ToString(), "v1" })
        {
            using var get = await _http.GetManifestAsync(_repository, reference);
            await get.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
        }
    }

    // --- end-7b: ?tag= ------------------------------------------------------------------------------------------

    [Fact]
    public async Task Tags_are_set_with_a_push_by_digest_and_told_in_OCI_Tag()
    {
        string[] tags = [.. Enumerable.Range(0, 20).Select(i => $"t{i}")];

        using var put = await PutAsync($"{Digest}?tag={string.Join("&tag=", tags)}");

        await put.ShouldHaveCreatedAsync(_http, Digest, _manifest);
        put.Headers.GetValues("OCI-Tag").ShouldBe(tags);
        foreach (var tag in tags)
        {
            using var pulled = await _http.GetManifestAsync(_repository, tag);
            await pulled.ShouldBeContentAsync(Digest, _manifest);
        }
    }

    [Fact]
    public async Task Ten_tags_of_the_greatest_length_fit()
    {
        string[] tags = [.. Enumerable.Range(0, 10).Select(i => new string((char)('a' + i), 128))];

        using var put = await PutAsync($"{Digest}?tag={string.Join("&tag=", tags)}");

        put.Headers.GetValues("OCI-Tag").ShouldBe(tags);
    }

    [Fact]
    public async Task A_tag_that_is_named_twice_is_set_once()
    {
        using var put = await PutAsync($"{Digest}?tag=v1&tag=v1");

        put.Headers.GetValues("OCI-Tag").ShouldBe(["v1"]);
    }

    [Fact]
    public async Task Too_many_tags_are_answered_with_414_and_nothing_is_stored()
    {
        using var put = await PutAsync($"{Digest}?{string.Join('&', Enumerable.Range(0, 101).Select(i => $"tag=t{i}"))}");

        await put.ShouldBeErrorAsync(HttpStatusCode.RequestUriTooLong, "UNSUPPORTED");
        await ShouldNotExistAsync();
    }

    [Theory]
    [InlineData("tag=")]
    [InlineData("tag=v1&tag=.bad")]
    [InlineData("tag=a%2Fb")]
    [InlineData("tag=v1,v2")]
    public async Task A_bad_tag_is_refused_and_nothing_is_stored(string query)
    {
        using var put = await PutAsync($"{Digest}?{query}");

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
        await ShouldNotExistAsync();
    }

    [Fact]
    public async Task The_tag_parameter_belongs_to_pushes_by_digest()
    {
        using var put = await PutAsync("v1?tag=v2");

        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        put.Header("OCI-Tag").ShouldBeNull("a tag that is not accepted must not be told as accepted");
        using var get = await _http.GetManifestAsync(_repository, "v2");
        await get.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
    }

    // --- sizes --------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_manifest_of_nearly_4_megabytes_is_accepted(bool chunked)
    {
        var large = Padded(3_900_000);

        using var put = await PutAsync(large, chunked);

        await put.ShouldHaveCreatedAsync(_http, Digest.Of(large), large);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_manifest_of_exactly_the_limit_is_accepted_and_one_byte_more_is_answered_with_413(bool chunked)
    {
        var limit = ManifestOptions.SmallestMaxSize;

        using var put = await PutAsync(Padded(limit), chunked);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        var larger = Padded(limit + 1);
        using var refused = await PutAsync(larger, chunked);

        await refused.ShouldBeErrorAsync(HttpStatusCode.RequestEntityTooLarge, "MANIFEST_INVALID");
        using var get = await _http.GetManifestAsync(_repository, Digest.Of(larger).ToString());
        get.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_manifest_may_be_sent_without_its_length() // as the conformance suite and Jib do
    {
        using var put = await PutAsync(_manifest, chunked: true);

        await put.ShouldHaveCreatedAsync(_http, Digest, _manifest);
    }

    // --- Content-Type -------------------------------------------------------------------------------------------

    [Theory]
    [InlineData("application/vnd.oci.image.index.v1+json; charset=utf-8")]
    [InlineData("application/json")]
    [InlineData("application/octet-stream")]
    [InlineData("*/*")]
    [InlineData(null)]
    public async Task The_stored_type_has_no_parameters_and_is_the_manifests_own_when_the_header_says_nothing(string? type)
    {
        using var put = await _http.RequestAsync(
            "PUT", $"/v2/{_repository}/manifests/v1", _manifest, type is null ? [] : [("Content-Type", type)]);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);

        using var get = await _http.GetManifestAsync(_repository, "v1");
        get.Header("Content-Type").ShouldBe(MediaTypes.ImageIndex);
    }

    [Theory]
    [InlineData(MediaTypes.ImageManifest)]
    [InlineData("application/vnd.docker.distribution.manifest.v1+prettyjws")]
    [InlineData("application/vnd.oci.image.config.v1+json")]
    public async Task A_type_that_is_not_the_manifests_is_refused(string type)
    {
        using var put = await _http.PutManifestAsync(_repository, "v1", _manifest, type);

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
        await ShouldNotExistAsync();
    }

    // --- subject ------------------------------------------------------------------------------------------------

    [Fact]
    public async Task A_subject_is_told_in_OCI_Subject_whether_it_exists_or_not()
    {
        var subject = Digest.Of(await _http.PushImageAsync(_repository, "subject"));
        foreach (var of in new[] { subject, Digest.Of("nothing"u8) })
        {
            var referrer = RegistryClient.ImageIndex([], of);
            foreach (var reference in new[] { "v1", Digest.Of(referrer).ToString() })
            {
                using var put = await _http.PutManifestAsync(_repository, reference, referrer, MediaTypes.ImageIndex);
                await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
                put.Header("OCI-Subject").ShouldBe(of.ToString());
            }
        }
    }

    [Fact]
    public async Task A_manifest_cannot_be_pushed_under_a_bad_reference()
    {
        using var tag = await PutAsync(".bad");
        await tag.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
        using var digest = await PutAsync("sha256:baddigeststring");
        await digest.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
    }

    [Fact]
    public async Task An_unreadable_manifest_is_refused_with_the_member_that_is_wrong()
    {
        using var put = await _http.PutManifestAsync(
            _repository, "v1", """{"schemaVersion":2,"manifests":"none"}"""u8.ToArray(), MediaTypes.ImageIndex);

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
        var error = JsonNode.Parse(await put.Content.ReadAsStringAsync())!["errors"]![0]!;
        ((string?)error["detail"]!["member"]).ShouldBe("manifests");
    }

    private Task<HttpResponseMessage> PutAsync(string reference) =>
        _http.PutManifestAsync(_repository, reference, _manifest, MediaTypes.ImageIndex);

    private Task<HttpResponseMessage> PutAsync(byte[] manifest, bool chunked) => _http.PutManifestAsync(
        _repository,
        "v1",
        manifest,
        MediaTypes.ImageIndex,
        headers => headers.TransferEncodingChunked = chunked ? true : null);

    private static byte[] Padded(int size)
    {
        var start = Encoding.UTF8.GetBytes($$"""{"schemaVersion":2,"mediaType":"{{MediaTypes.ImageIndex}}","manifests":[],"x":"{{Guid.NewGuid()}}""");
        return [.. start, .. Enumerable.Repeat((byte)'x', size - start.Length - 2), (byte)'"', (byte)'}'];
    }

    private async Task ShouldNotExistAsync()
    {
        using var get = await _http.GetManifestAsync(_repository, Digest.ToString());
        await get.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
        using var tags = await _http.RequestAsync("GET", $"/v2/{_repository}/tags/list");
        await tags.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");
    }
}
