using OciRegistry.Hosting;

namespace OciRegistry.Tests.Vocabulary;

/// <summary>Paths are matched from the right, so that a repository may be called like a part of the API.</summary>
public sealed class RepositoryPathTests
{
    private const string Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    [Theory]
    [InlineData("/v2", "/v2/", "", "")]
    [InlineData("/v2/", "/v2/", "", "")]
    [InlineData("/v2/_catalog", "/v2/_catalog", "", "")]
    [InlineData("/v2/a/tags/list", "/v2/{name}/tags/list", "a", "")]
    [InlineData("/v2/a/b/c/tags/list", "/v2/{name}/tags/list", "a/b/c", "")]
    [InlineData("/v2/a/manifests/latest", "/v2/{name}/manifests/{reference}", "a", "latest")]
    [InlineData("/v2/a/b/manifests/" + Digest, "/v2/{name}/manifests/{reference}", "a/b", Digest)]
    [InlineData("/v2/a/blobs/" + Digest, "/v2/{name}/blobs/{digest}", "a", Digest)]
    [InlineData("/v2/a/referrers/" + Digest, "/v2/{name}/referrers/{digest}", "a", Digest)]
    [InlineData("/v2/a/blobs/uploads/", "/v2/{name}/blobs/uploads/", "a", "")]
    [InlineData("/v2/a/blobs/uploads", "/v2/{name}/blobs/uploads/", "a", "")]
    [InlineData("/v2/a/blobs/uploads/x", "/v2/{name}/blobs/uploads/{session}", "a", "x")]
    public void An_operation_has_a_name_and_an_argument(string path, string template, string name, string argument)
    {
        var parsed = RepositoryPath.Parse(path);
        parsed.ShouldNotBeNull();
        parsed.Route.Template.ShouldBe(template);
        parsed.Name.ShouldBe(name);
        parsed.Argument.ShouldBe(argument);
    }

    [Theory]
    [InlineData("tags/list")]
    [InlineData("a/tags/list")]
    [InlineData("blobs/uploads")]
    [InlineData("a/blobs/uploads")]
    [InlineData("blobs")]
    [InlineData("manifests")]
    [InlineData("manifests/latest")]
    [InlineData("referrers")]
    [InlineData("a/manifests/b")]
    [InlineData("a/tags/b")]
    [InlineData("a/referrers/b")]
    [InlineData("v2")]
    [InlineData("v2/v2")]
    public void A_repository_may_be_called_like_a_part_of_the_API(string name)
    {
        string[] operations =
            ["tags/list", "manifests/latest", $"manifests/{Digest}", $"blobs/{Digest}", $"referrers/{Digest}", "blobs/uploads/", "blobs/uploads/x"];
        foreach (var operation in operations)
        {
            RepositoryPath.Parse($"/v2/{name}/{operation}")!.Name.ShouldBe(name, operation);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("/v1/")]
    [InlineData("/v2x/a/tags/list")]
    [InlineData("/V2/")]
    [InlineData("/v2/a")]
    [InlineData("/v2/a/b")]
    [InlineData("/v2/_catalog/")]
    [InlineData("/v2/_oci/ext/discover")]
    [InlineData("/v2/a/tags")]
    [InlineData("/v2/a/tags/")]
    [InlineData("/v2/a/tags/list/")]
    [InlineData("/v2/a/tags/LIST")]
    [InlineData("/v2/a/Manifests/latest")]
    [InlineData("/v2/a/blobs/uploads/x/y")]
    [InlineData("/v2/manifests/latest")]
    [InlineData("/v2/tags/list")]
    public void Anything_else_is_none_of_ours(string path) => RepositoryPath.Parse(path).ShouldBeNull();
}
