using System.Text;
using OciRegistry.Repositories;

namespace OciRegistry.Tests.Repositories;

public sealed class ManifestTests
{
    private const string ConfigType = "application/vnd.oci.image.config.v1+json";
    private const string LayerType = "application/vnd.oci.image.layer.v1.tar+gzip";
    private const string ForeignType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    private const string NondistributableType = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    private const string AnImage = MediaTypes.ImageManifest;
    private const string AnIndex = MediaTypes.ImageIndex;

    private static readonly string Config = Descriptor('c', ConfigType);

    // --- what is read -------------------------------------------------------------------------------------------

    [Fact]
    public void The_blobs_of_an_image_are_its_config_and_layers()
    {
        var manifest = Accepted(Image([Descriptor('1'), Descriptor('2', size: 5)]));

        manifest.MediaType.ShouldBe(AnImage);
        manifest.Blobs.ShouldBe(
        [
            new Descriptor(ConfigType, DigestOf('c'), 1),
            new Descriptor(LayerType, DigestOf('1'), 1),
            new Descriptor(LayerType, DigestOf('2'), 5),
        ]);
        manifest.Manifests.ShouldBeEmpty();
        manifest.Subject.ShouldBeNull();
        manifest.Annotations.ShouldBeNull();
    }

    [Fact]
    public void The_children_of_an_index_are_its_manifests_whatever_their_type()
    {
        var manifest = Accepted(Index(
        [
            Descriptor('1', AnImage),
            Descriptor('2', AnIndex),
            Descriptor('3', MediaTypes.DockerManifest),
            Descriptor('4', MediaTypes.DockerManifestList),
            Descriptor('5', LayerType),
        ]));

        manifest.MediaType.ShouldBe(AnIndex);
        manifest.Manifests.Select(child => child.Digest).ShouldBe("12345".Select(DigestOf));
        manifest.Blobs.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(NondistributableType)]
    [InlineData(NondistributableType + "+gzip")]
    [InlineData(ForeignType)]
    public void Nondistributable_layers_need_not_be_in_the_repository(string mediaType)
    {
        var manifest = Accepted(Image([
            Descriptor('1', mediaType, more: """, "urls": ["http://169.254.169.254/", "file:///etc/passwd"]"""),
            Descriptor('2')]));

        manifest.Blobs.Select(blob => blob.Digest).ShouldBe([DigestOf('c'), DigestOf('2')]);
    }

    [Fact]
    public void Descriptors_are_distinct_by_digest()
    {
        Accepted(Image([Descriptor('1'), Descriptor('2'), Descriptor('1'), Config]))
            .Blobs.Select(blob => blob.Digest).ShouldBe([DigestOf('c'), DigestOf('1'), DigestOf('2')]);
        Accepted(Index([Descriptor('1', AnImage), Descriptor('1', AnImage)])).Manifests.Count.ShouldBe(1);
    }

    [Fact]
    public void Digests_may_be_sha512()
    {
        var digest = Digest.Of("content"u8, DigestAlgorithm.Sha512);

        Accepted(Image([$$"""{"mediaType": "{{LayerType}}", "digest": "{{digest}}", "size": 7}"""]))
            .Blobs[1].Digest.ShouldBe(digest);
    }

    [Fact]
    public void The_subject_is_a_digest_and_neither_a_blob_nor_a_child()
    {
        var ofImage = Accepted(Image([], $""", "subject": {Descriptor('5', AnImage)}"""));
        ofImage.Subject.ShouldBe(DigestOf('5'));
        ofImage.Blobs.Select(blob => blob.Digest).ShouldBe([DigestOf('c')]);

        var ofIndex = Accepted(Index([], $""", "subject": {Descriptor('5', AnImage)}"""));
        ofIndex.Subject.ShouldBe(DigestOf('5'));
        ofIndex.Manifests.ShouldBeEmpty();
    }

    [Fact]
    public void The_artifact_type_is_the_manifests_own_else_the_type_of_an_images_config()
    {
        Accepted(Image([], """, "artifactType": "application/x" """)).ArtifactType.ShouldBe("application/x");
        Accepted(Image([], """, "artifactType": "" """)).ArtifactType.ShouldBe(ConfigType);
        Accepted(Image([])).ArtifactType.ShouldBe(ConfigType);
        Accepted(Index([], """, "artifactType": "application/x" """)).ArtifactType.ShouldBe("application/x");
        Accepted(Index([])).ArtifactType.ShouldBeNull();
    }

    [Fact]
    public void Annotations_are_read_as_they_are()
    {
        var manifest = Accepted(Image(
            [], """, "annotations": {"a": "<script>\r\n", "A": "\u00e9\ud83d\ude00", "size": "", "Size": "1"}"""));

        manifest.Annotations.ShouldBe(
            new Dictionary<string, string> { ["a"] = "<script>\r\n", ["A"] = "é😀", ["size"] = "", ["Size"] = "1" },
            ignoreOrder: true);
    }

    public static TheoryData<string, string> AcceptedManifests() => new()
    {
        { "no layers", Image([]) },
        { "an empty index", Index([]) },
        { "unknown members", Image([], """, "org.example": {"z": 1}""") },
        { "unknown members of a descriptor", Image([Descriptor('1', more: """, "x": [{"y": null}]""")]) },
        { "any platform", Index([Descriptor('1', AnImage, more: """, "platform": {"os": 5, "OS": [], "": null}""")]) },
        { "a size of 2^63-1", Image([Descriptor('1', size: long.MaxValue)]) },
        { "an empty layer", Image([Descriptor('1', size: 0)]) },
        { "data of that digest", Image([WithData("e30=", "{}")]) },
        { "data of that sha512", Image([WithData("e30=", "{}", DigestAlgorithm.Sha512)]) },
        { "empty data", Image([WithData("", "")]) },
        { "white space around", $"\r\n\t {Image([])} \n" },
        { "an escaped name", Image([]).Replace("layers", "l\\u0061yers", StringComparison.Ordinal) },
        { "annotations of a descriptor", Image([Descriptor('1', more: """, "annotations": {"a": "b"}""")]) },
    };

    [Theory]
    [MemberData(nameof(AcceptedManifests))]
    public void A_manifest_is_accepted_with(string what, string content) => Accepted(content).ShouldNotBeNull(what);

    // --- media types --------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(AnImage, AnImage, AnImage)]
    [InlineData(AnImage, null, AnImage)]
    [InlineData(AnImage + "; charset=utf-8", AnImage, AnImage)]
    [InlineData(" Application/VND.oci.image.manifest.v1+JSON ;a=b;c=d", null, AnImage)]
    [InlineData(MediaTypes.DockerManifest, MediaTypes.DockerManifest, MediaTypes.DockerManifest)]
    [InlineData(MediaTypes.DockerManifest, null, MediaTypes.DockerManifest)]
    [InlineData(null, MediaTypes.DockerManifest, MediaTypes.DockerManifest)]
    [InlineData(null, AnImage, AnImage)]
    [InlineData("", AnImage, AnImage)]
    [InlineData("*/*", AnImage, AnImage)]
    [InlineData("application/json", MediaTypes.DockerManifest, MediaTypes.DockerManifest)]
    [InlineData("application/json; charset=utf-8", AnImage, AnImage)]
    [InlineData("application/octet-stream", AnImage, AnImage)]
    [InlineData(null, null, AnImage)]
    [InlineData("*/*", null, AnImage)]
    public void The_type_of_an_image_is_what_its_header_body_or_members_say(
        string? contentType, string? mediaType, string expected) =>
        Accepted(Image([], mediaType: mediaType), contentType).MediaType.ShouldBe(expected);

    [Theory]
    [InlineData(AnIndex, AnIndex, AnIndex)]
    [InlineData(MediaTypes.DockerManifestList, null, MediaTypes.DockerManifestList)]
    [InlineData("application/json", MediaTypes.DockerManifestList, MediaTypes.DockerManifestList)]
    [InlineData(null, null, AnIndex)]
    public void The_type_of_an_index_is_what_its_header_body_or_members_say(
        string? contentType, string? mediaType, string expected) =>
        Accepted(Index([], mediaType: mediaType), contentType).MediaType.ShouldBe(expected);

    [Theory]
    [InlineData(AnIndex, AnImage, "mediaType", "must be the same")]
    [InlineData(MediaTypes.DockerManifest, AnImage, "mediaType", "must be the same")]
    [InlineData(AnIndex, null, "config", "does not belong")]
    [InlineData(null, AnIndex, "config", "does not belong")]
    [InlineData(MediaTypes.DockerManifestList, MediaTypes.DockerManifestList, "config", "does not belong")]
    [InlineData(ConfigType, null, "Content-Type", "as a blob")]
    [InlineData(ConfigType, AnImage, "Content-Type", "as a blob")]
    [InlineData("text/html", AnImage, "Content-Type", "'text/html'")]
    [InlineData(AnImage + ", " + AnImage, AnImage, "Content-Type", "no manifest type")]
    [InlineData(null, LayerType, "mediaType", "as a blob")]
    [InlineData(AnImage, "", "mediaType", "no manifest type")]
    [InlineData(AnImage, "application/vnd.OCI.image.manifest.v1+json", "mediaType", "no manifest type")]
    [InlineData(AnImage, AnImage + "; charset=utf-8", "mediaType", "no manifest type")]
    [InlineData("application/vnd.docker.distribution.manifest.v1+json", null, "Content-Type", "schema 1")]
    [InlineData("application/vnd.docker.distribution.manifest.v1+prettyjws; x=y", null, "Content-Type", "schema 1")]
    [InlineData(null, "application/vnd.docker.distribution.manifest.v1+json", "mediaType", "skopeo copy --format v2s2")]
    [InlineData("application/vnd.oci.artifact.manifest.v1+json", null, "Content-Type", "artifactType")]
    [InlineData("application/json", "application/vnd.oci.artifact.manifest.v1+json", "mediaType", AnImage)]
    public void An_image_of_another_type_is_refused(
        string? contentType, string? mediaType, string member, string message) =>
        Refused(Image([], mediaType: mediaType), contentType).ShouldName(member, message);

    [Theory]
    [InlineData(AnImage, null)]
    [InlineData(null, AnImage)]
    [InlineData(MediaTypes.DockerManifest, MediaTypes.DockerManifest)]
    public void An_index_pushed_as_an_image_is_refused(string? contentType, string? mediaType) =>
        Refused(Index([], mediaType: mediaType), contentType).ShouldName("manifests", "does not belong");

    [Fact]
    public void The_artifact_manifest_of_1_1_rc_is_refused_as_such() => Refused(
        $$"""{"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": [{{Descriptor('1')}}]}""", null)
        .ShouldName("mediaType", "dropped");

    [Fact]
    public void Schema_1_is_refused_by_its_version_too() => Refused(
        """{"schemaVersion": 1, "name": "library/hello-world", "fsLayers": [], "history": []}""", null)
        .ShouldName("schemaVersion", "schema 1");

    public static TheoryData<string, string> Mixtures() => new()
    {
        { "layers", """{"schemaVersion": 2, "manifests": [], "layers": []}""" },
        { "config", $$"""{"schemaVersion": 2, "manifests": [], "config": {{Config}}}""" },
        { "config", $$"""{"schemaVersion": 2, "manifests": [], "config": {{Config}}, "layers": []}""" },
    };

    [Theory]
    [MemberData(nameof(Mixtures))]
    public void An_index_that_is_also_an_image_is_refused(string member, string content)
    {
        foreach (var contentType in new[] { null, AnImage, AnIndex })
        {
            Refused(content, contentType).ShouldName("manifests", $"and '{member}' are in one manifest");
        }
    }

    // --- members ------------------------------------------------------------------------------------------------

    public static TheoryData<string, string, string> Defects() => new()
    {
        { "schemaVersion", "must be the number 2", Image([]).Replace(": 2", ": \"2\"", StringComparison.Ordinal) },
        { "schemaVersion", "must be the number 2", Image([]).Replace(": 2", ": 2.0", StringComparison.Ordinal) },
        { "schemaVersion", "is missing", Image([]).Replace(": 2", ": null", StringComparison.Ordinal) },
        { "schemaVersion", "must be the number 2", Image([]).Replace(": 2", ": 1e400", StringComparison.Ordinal) },
        { "schemaVersion", "is 3", Image([]).Replace(": 2", ": 3", StringComparison.Ordinal) },
        { "schemaVersion", "is missing", $$"""{"mediaType": "{{AnImage}}", "config": {{Config}}, "layers": []}""" },
        { "mediaType", "must be a string", """{"schemaVersion": 2, "mediaType": 5, "manifests": []}""" },
        { "mediaType", "Push with a Content-Type", """{"schemaVersion": 2}""" },
        { "mediaType", "Push with a Content-Type", $$"""{"schemaVersion": 2, "config": {{Config}}}""" },
        { "mediaType", "Push with a Content-Type", """{"schemaVersion": 2, "layers": []}""" },
        { "config", "is missing", $$"""{"schemaVersion": 2, "mediaType": "{{AnImage}}", "layers": []}""" },
        { "config", "is missing", $$"""{"schemaVersion": 2, "mediaType": "{{AnImage}}", "config": null, "layers": []}""" },
        { "config", "must be a descriptor", $$"""{"schemaVersion": 2, "config": [{{Config}}], "layers": []}""" },
        { "config.digest", "is missing", """{"schemaVersion": 2, "config": {"mediaType": "a/b"}, "layers": []}""" },
        { "layers", "is missing", $$"""{"schemaVersion": 2, "mediaType": "{{AnImage}}", "config": {{Config}}}""" },
        { "layers", "must be a list", $$"""{"schemaVersion": 2, "config": {{Config}}, "layers": {} }""" },
        { "manifests", "is missing", $$"""{"schemaVersion": 2, "mediaType": "{{AnIndex}}"}""" },
        { "manifests", "must be a list", """{"schemaVersion": 2, "manifests": "[]"}""" },
        { "manifests[1].size", "is missing", Index([Descriptor('1', AnImage), WithoutSize('2')]) },
        { "subject", "must be a descriptor", Image([], """, "subject": "sha256:1" """) },
        { "subject.mediaType", "is missing", Image([], """, "subject": {}""") },
        { "subject.digest", "A digest is", Index([], $", \"subject\": {Descriptor('g', AnImage)}") },
        { "artifactType", "must be a string", Index([], """, "artifactType": ["a/b"]""") },
        { "annotations", "must be an object", Image([], """, "annotations": ["a"]""") },
        { "annotations['a']", "must be a string", Index([], """, "annotations": {"a": 1}""") },
        { "annotations['a']", "must be a string", Image([], """, "annotations": {"a": null}""") },
    };

    public static TheoryData<string, string, string> DefectsOfDescriptors() => new()
    {
        { "", "must be a descriptor", "null" },
        { "", "must be a descriptor", "\"sha256:1\"" },
        { "", "must be a descriptor", "[]" },
        { ".mediaType", "is missing", "{}" },
        { ".mediaType", "must not be empty", Descriptor('1', "") },
        { ".mediaType", "must be a string", $$"""{"mediaType": 7, "digest": "{{DigestOf('1')}}", "size": 1}""" },
        { ".digest", "must be a string", """{"mediaType": "a/b", "digest": 1, "size": 1}""" },
        { ".digest", "A digest is", """{"mediaType": "a/b", "digest": "", "size": 1}""" },
        { ".digest", "A digest is", Descriptor('A') },
        { ".digest", "A digest is", Descriptor('1').Replace("sha256:1", "sha256:", StringComparison.Ordinal) },
        { ".digest", "A digest is", Descriptor('1').Replace("sha256:", "sha512:", StringComparison.Ordinal) },
        { ".digest", "A digest is", Descriptor('1').Replace("sha256:1", "sha256:../../", StringComparison.Ordinal) },
        { ".size", "is missing", WithoutSize('1') },
        { ".size", "whole number", WithSize("-1") },
        { ".size", "whole number", WithSize("9223372036854775808") },
        { ".size", "whole number", WithSize("1e400") },
        { ".size", "whole number", WithSize("1e3") },
        { ".size", "whole number", WithSize("1.0") },
        { ".size", "whole number", WithSize("\"1\"") },
        { ".size", "is missing", WithSize("null") },
        { ".digest", "A digest is", Descriptor('1').Replace("sha256:", "MD5:", StringComparison.Ordinal) },
        { ".digest", "A digest is", Descriptor('1').Replace("sha256:1", "blake3:/", StringComparison.Ordinal) },
        { ".digest", "A digest is", Descriptor('1').Replace("sha256:", "blake3+:", StringComparison.Ordinal) },
        { ".size", "another descriptor of the same digest", Descriptor('0', size: 2) },
        { ".data", "base64", Descriptor('1', more: """, "data": {}""") },
        { ".data", "base64", Descriptor('1', more: """, "data": "%%%%" """) },
        { ".data", "size is 1", Descriptor('1', more: """, "data": "e30=" """) },
        { ".data", "has the digest", Descriptor('1', size: 2, more: """, "data": "e30=" """) },
        { ".platform", "must be an object", Descriptor('1', more: """, "platform": "linux/amd64" """) },
        { ".annotations['a']", "must be a string", Descriptor('1', more: """, "annotations": {"a": {}}""") },
        { ".Digest", "'digest' in case only", Descriptor('1', more: $", \"Digest\": \"{DigestOf('2')}\"") },
        { ".\u017Fize", "'size' in case only", Descriptor('1', more: ", \"\u017Fize\": 1") },
    };

    [Theory]
    [MemberData(nameof(Defects))]
    public void A_defect_is_refused_by_the_name_of_its_member(string member, string message, string content) =>
        Refused(content, null).ShouldName(member, message);

    [Theory]
    [MemberData(nameof(DefectsOfDescriptors))]
    public void A_defect_of_a_descriptor_is_refused_by_its_place(string member, string message, string descriptor)
    {
        var layers = Image([Descriptor('0'), descriptor, Descriptor('2')]);
        Refused(layers, null).ShouldName($"layers[1]{member}", message);

        var manifests = Index([Descriptor('0'), descriptor]);
        Refused(manifests, null).ShouldName($"manifests[1]{member}", message);
    }

    [Fact]
    public void A_hundred_thousand_descriptors_are_the_limit()
    {
        Accepted(Index(Enumerable.Repeat(Descriptor('1', AnImage), 100_000))).Manifests.Count.ShouldBe(1);
        Refused(Index(Enumerable.Repeat("{}", 100_001)), null).ShouldName("manifests", "100001 descriptors");
        Refused(Image(Enumerable.Repeat("{}", 1_000_000)), null).ShouldName("layers", "1000000 descriptors");
    }

    // --- null and what Go writes for what is left out ---------------------------------------------------------------

    [Fact]
    public void Layers_that_are_null_are_none() // docker 28 pushes FROM scratch with a LABEL so
    {
        var manifest = Accepted($$"""{"schemaVersion": 2, "mediaType": "{{AnImage}}", "config": {{Config}}, "layers": null}""");
        manifest.Blobs.Count.ShouldBe(1);
        Accepted($$"""{"schemaVersion": 2, "config": {{Config}}, "layers": null}""").MediaType.ShouldBe(AnImage);
        Accepted($$"""{"schemaVersion": 2, "manifests": null, "config": {{Config}}, "layers": null}""").MediaType.ShouldBe(AnImage);
    }

    [Fact]
    public void Manifests_that_are_null_are_none()
    {
        Accepted("""{"schemaVersion": 2, "manifests": null}""").MediaType.ShouldBe(AnIndex);
        Accepted("""{"schemaVersion": 2, "manifests": null, "layers": null, "config": null}""").Manifests.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("mediaType")]
    [InlineData("artifactType")]
    [InlineData("subject")]
    [InlineData("annotations")]
    [InlineData("manifests")]
    public void An_optional_member_of_an_image_that_is_null_is_missing(string member) =>
        Accepted(Image([Descriptor('1')], $", \"{member}\": null")).ShouldBeEquivalentTo(Accepted(Image([Descriptor('1')])));

    [Theory]
    [InlineData("mediaType")]
    [InlineData("artifactType")]
    [InlineData("subject")]
    [InlineData("annotations")]
    [InlineData("config")]
    [InlineData("layers")]
    public void An_optional_member_of_an_index_that_is_null_is_missing(string member) =>
        Accepted(Index([Descriptor('1')], $", \"{member}\": null")).ShouldBeEquivalentTo(Accepted(Index([Descriptor('1')])));

    [Theory]
    [InlineData("data")]
    [InlineData("platform")]
    [InlineData("annotations")]
    [InlineData("urls")]
    [InlineData("artifactType")]
    public void An_optional_member_of_a_descriptor_that_is_null_is_missing(string member) =>
        Accepted(Image([Descriptor('1', more: $", \"{member}\": null")])).ShouldBeEquivalentTo(Accepted(Image([Descriptor('1')])));

    // --- digests of other algorithms -------------------------------------------------------------------------------

    [Theory]
    [InlineData("blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")]
    [InlineData("sha384:38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b")]
    [InlineData("sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564")]
    public void A_digest_of_an_algorithm_that_is_not_supported_may_be_named(string digest)
    {
        var other = Descriptor('1').Replace(DigestOf('1').ToString(), digest, StringComparison.Ordinal);

        Accepted(Image([], $", \"subject\": {other}")).ShouldSatisfyAllConditions(
            manifest => manifest.Subject.ShouldBeNull(), manifest => manifest.Unstorable.ShouldBeEmpty());
        Accepted(Image([other, Descriptor('2')])).ShouldSatisfyAllConditions(
            manifest => manifest.Blobs.Count.ShouldBe(2),
            manifest => manifest.Unstorable.ShouldHaveSingleItem().Message.ShouldStartWith("layers[0].digest is '"));
        Accepted(Index([Descriptor('2'), other])).ShouldSatisfyAllConditions(
            manifest => manifest.Manifests.Count.ShouldBe(1),
            manifest => manifest.Unstorable.ShouldHaveSingleItem().Detail!["member"]!.ToString().ShouldBe("manifests[1].digest"));
        var elsewhere = other.Replace("\"size\"", "\"urls\": [\"https://example.com/x\"], \"size\"", StringComparison.Ordinal);
        Accepted(Image([elsewhere])).Unstorable.ShouldBeEmpty();
    }

    // --- what is stored, or what an upstream serves -----------------------------------------------------------------

    [Theory]
    [MemberData(nameof(AcceptedManifests))]
    public void What_is_accepted_is_read_the_same_when_it_comes_from_elsewhere(string what, string content)
    {
        var (read, accepted) = (LenientManifestReader.Read(Encoding.UTF8.GetBytes(content), null), Accepted(content));
        read.Blobs.ShouldBe(accepted.Blobs, what);
        read.Manifests.ShouldBe(accepted.Manifests, what);
        read.Subject.ShouldBe(accepted.Subject, what);
        read.ArtifactType.ShouldBe(accepted.ArtifactType, what);
    }

    [Theory]
    [MemberData(nameof(Defects))]
    public void A_defect_hides_nothing_else_of_what_comes_from_elsewhere(string member, string message, string content)
    {
        var read = Manifest.Read(Encoding.UTF8.GetBytes(content), "application/vnd.example+json");
        read.MediaType.ShouldBe("application/vnd.example+json", $"{member} {message}");
        read.Blobs.Count.ShouldBe(content.Contains($"\"config\": {Config}", StringComparison.Ordinal) ? 1 : 0);
        read.Manifests.Count.ShouldBe(content.Contains("\"manifests\": [{", StringComparison.Ordinal) ? 1 : 0);
    }

    [Theory]
    [InlineData("", null)]
    [InlineData("<html>", "text/html")]
    [InlineData("[]", "application/json; charset=utf-8")]
    [InlineData("{\"layers\":5,\"config\":[],\"manifests\":{},\"subject\":7,\"annotations\":null,\"mediaType\":\"text/html\"}", null)]
    [InlineData("{\"artifactType\":\"\\ud800\"}", "application/x y")]
    [InlineData("{\"\\ud800abcdefghijkl\":1}", null)]
    [InlineData("{\"annotations\":{\"\\ud800\":\"a\"}}", null)]
    [InlineData("\u00ff", "application/octet-stream")]
    public void What_is_no_manifest_has_no_references_and_no_type_that_a_browser_shows(string content, string? contentType)
    {
        var read = Manifest.Read(Encoding.UTF8.GetBytes(content), contentType);
        read.Blobs.ShouldBeEmpty();
        read.Subject.ShouldBeNull();
        read.MediaType.ShouldBe(content.Contains("manifests", StringComparison.Ordinal) ? AnIndex : MediaTypes.OctetStream);
    }

    // --- JSON ---------------------------------------------------------------------------------------------------

    public static TheoryData<string, string> BadJson() => new()
    {
        { "nothing", "" },
        { "trailing garbage", Image([]) + "x" },
        { "two manifests", Image([]) + Image([]) },
        { "a NUL at the end", Image([]) + "\0" },
        { "a cut end", Image([])[..^1] },
        { "a comment", Image([]).Replace("[]", "[] /* none */", StringComparison.Ordinal) },
        { "a trailing comma in an object", Image([], ",") },
        { "a trailing comma in a list", Image([Descriptor('1') + ","]) },
        { "an unquoted name", Image([], ", x: 1") },
        { "a number with a leading zero", Image([WithSize("01")]) },
        { "no number", Image([WithSize("NaN")]) },
        { "a line break in a string", Image([], ", \"x\": \"\n\"") },
        { "a member twice", Image([], ", \"layers\": []") },
        { "a member twice by an escape", Image([], ", \"l\\u0061yers\": []") },
        { "an unknown member twice", Image([], ", \"x\": 1, \"x\": 1") },
        { "a member of a descriptor twice", Image([Descriptor('1', more: ", \"size\": 1")]) },
        { "an annotation twice", Image([], """, "annotations": {"a": "1", "a": "1"}""") },
        { "a member of something unknown twice", Image([], """, "x": [{"a": 1, "a": 1}]""") },
        { "10,000 lists in each other", new string('[', 10_000) + new string(']', 10_000) },
        { "10,000 objects in each other", string.Concat(Enumerable.Repeat("{\"a\":", 10_000)) },
        { "65 levels", Image([], $", \"x\": {new string('[', 64)}{new string(']', 64)}") },
        { "half a character in a value", Image([], """, "annotations": {"a": "\ud800"}""") },
        { "half a character in a name", Image([], """, "\udc00": 1""") },
        { "half a character in something unknown", Image([], """, "x": ["\ud83dx"]""") },
    };

    [Theory]
    [MemberData(nameof(BadJson))]
    public void JSON_that_parsers_read_differently_or_not_at_all_is_refused(string what, string content)
    {
        var error = Refused(content, AnImage);

        error.Message.ShouldContain("not valid JSON", customMessage: what);
        error.Detail.ShouldBeNull();
    }

    [Theory]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("\"manifest\"")]
    [InlineData("2")]
    public void Anything_but_an_object_is_refused(string content) =>
        Refused(content, AnImage).Message.ShouldBe("A manifest is a JSON object.");

    [Fact]
    public void Sixty_four_levels_are_accepted() =>
        Accepted(Image([], $", \"x\": {new string('[', 63)}{new string(']', 63)}")).Blobs.Count.ShouldBe(1);

    [Fact]
    public void Other_encodings_than_UTF_8_are_refused()
    {
        var image = Image([]);
        Refused([.. Encoding.UTF8.Preamble, .. Encoding.UTF8.GetBytes(image)]).ShouldContain("byte order mark");
        Refused([.. Encoding.Unicode.Preamble, .. Encoding.Unicode.GetBytes(image)]).ShouldContain("not UTF-8");
        Refused(Encoding.Unicode.GetBytes(image)).ShouldContain("not valid JSON");
        Refused(Encoding.Latin1.GetBytes(Image([], ", \"x\": \"é\""))).ShouldContain("not UTF-8");
        Refused([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]).ShouldContain("uncompressed");
        Refused([.. "{\"x\": \""u8, 0xED, 0xA0, 0x80, .. "\"}"u8]).ShouldContain("not UTF-8");
        Refused([.. "{\"x\": \""u8, 0xC0, 0xAF, .. "\"}"u8]).ShouldContain("not UTF-8");

        static string Refused(byte[] content)
        {
            Manifest.TryParse(content, AnImage, out _, out var error).ShouldBeFalse();
            return error!.Message;
        }
    }

    [Theory]
    [InlineData("MediaType", "mediaType")]
    [InlineData("mediatype", "mediaType")]
    [InlineData("Layers", "layers")]
    [InlineData("layer\u017F", "layers")]
    [InlineData("MANIFESTS", "manifests")]
    [InlineData("Config", "config")]
    [InlineData("Subject", "subject")]
    [InlineData("schemaversion", "schemaVersion")]
    [InlineData("ArtifactType", "artifactType")]
    [InlineData("Annotations", "annotations")]
    public void A_name_that_differs_in_case_from_one_that_is_read_is_refused(string name, string meant) =>
        Refused(Image([], $", \"{name}\": null", AnImage), AnImage).ShouldName(name, $"'{meant}' in case only");

    [Fact]
    public void Whatever_is_pushed_is_accepted_or_refused_and_nothing_else_is_thrown()
    {
        var random = new Random(20_260_701);
        var manifests = new[]
        {
            Image(
                [Descriptor('1'), WithData("e30=", "{}")],
                $$""", "subject": {{Descriptor('2')}}, "annotations": {"\u0061": "\u00e9\ud83d\ude00"}""",
                AnImage),
            Index([Descriptor('1', AnImage, more: """, "platform": {}""")], """, "artifactType": "a/b" """),
        };
        for (var round = 0; round < 20_000; round++)
        {
            var content = Encoding.UTF8.GetBytes(manifests[round % 2]).ToList();
            for (var change = random.Next(1, 4); change > 0; change--)
            {
                var at = random.Next(content.Count);
                switch (random.Next(3))
                {
                    case 0:
                        content[at] = (byte)random.Next(256);
                        break;
                    case 1:
                        content.RemoveRange(at, random.Next(content.Count - at));
                        content.Add((byte)'}');
                        break;
                    default:
                        content.Insert(at, content[random.Next(content.Count)]);
                        break;
                }
            }

            var accepted = Manifest.TryParse(content.ToArray(), null, out var manifest, out var error);
            accepted.ShouldBe(manifest is not null);
            accepted.ShouldBe(error is null);
        }
    }

    [Fact]
    public void Messages_quote_no_more_than_a_hundred_characters_of_what_was_pushed()
    {
        var text = new string('x', 1_000_000);

        Refused(Image([], mediaType: text), null).Message.Length.ShouldBeLessThan(1_000);
        Refused(Image([$$"""{"mediaType": "a", "digest": "{{text}}", "size": 1}"""]), null)
            .Message.Length.ShouldBeLessThan(1_000);
        Refused(Image([], $$""", "annotations": {"{{text}}": 1}"""), null).Message.Length.ShouldBeLessThan(1_000);
        Refused(Image([], $$""", "{{text}}": 1, "{{text}}": 1"""), null).Message.Length.ShouldBeLessThan(1_000);
    }

    // --- what the tables are made of ----------------------------------------------------------------------------

    private static Manifest Accepted(string content, string? contentType = null)
    {
        var accepted = Manifest.TryParse(Encoding.UTF8.GetBytes(content), contentType, out var manifest, out var error);

        accepted.ShouldBeTrue(error?.Message);
        error.ShouldBeNull();
        return manifest!;
    }

    private static OciError Refused(string content, string? contentType)
    {
        Manifest.TryParse(Encoding.UTF8.GetBytes(content), contentType, out var manifest, out var error)
            .ShouldBeFalse(content.Length < 1_000 ? content : content[..1_000]);

        manifest.ShouldBeNull();
        error!.Code.ShouldBe("MANIFEST_INVALID");
        error.Status.ShouldBe(400);
        return error;
    }

    private static string Image(IEnumerable<string> layers, string more = "", string? mediaType = null) =>
        $$"""{"schemaVersion": 2{{Typed(mediaType)}}, "config": {{Config}}, "layers": [{{Listed(layers)}}]{{more}}}""";

    private static string Index(IEnumerable<string> manifests, string more = "", string? mediaType = null) =>
        $$"""{"schemaVersion": 2{{Typed(mediaType)}}, "manifests": [{{Listed(manifests)}}]{{more}}}""";

    private static string Typed(string? mediaType) => mediaType is null ? "" : $", \"mediaType\": \"{mediaType}\"";

    private static string Listed(IEnumerable<string> items) => string.Join(", ", items);

    private static Digest DigestOf(char digit) => Digest.Parse("sha256:" + new string(digit, 64));

    private static string Descriptor(char digit, string mediaType = LayerType, long size = 1, string more = "") =>
        $$"""{"mediaType": "{{mediaType}}", "digest": "sha256:{{new string(digit, 64)}}", "size": {{size}}{{more}}}""";

    private static string WithoutSize(char digit) =>
        Descriptor(digit).Replace("\"size\"", "\"length\"", StringComparison.Ordinal);

    private static string WithSize(string size) =>
        Descriptor('1').Replace("\"size\": 1", $"\"size\": {size}", StringComparison.Ordinal);

    private static string WithData(string data, string content, DigestAlgorithm algorithm = DigestAlgorithm.Sha256)
    {
        var digest = Digest.Of(Encoding.UTF8.GetBytes(content), algorithm);
        return $$"""{"mediaType": "a/b", "digest": "{{digest}}", "size": {{content.Length}}, "data": "{{data}}"}""";
    }
}

internal static class ManifestErrorAssertions
{
    /// <summary>The message starts with the member, and so does the detail name it.</summary>
    public static void ShouldName(this OciError error, string member, string message)
    {
        error.Message.ShouldStartWith(member + " ");
        error.Message.ShouldContain(message, Case.Sensitive);
        error.Detail!["member"]!.GetValue<string>().ShouldBe(member);
    }
}
