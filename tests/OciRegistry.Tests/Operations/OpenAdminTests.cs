using System.Net;
using System.Net.Http.Headers;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Operations;

/// <summary>The admin API of a registry in which nobody has to log in.</summary>
public sealed class OpenAdminTests
{
    public static TheoryData<string, string> Routes => new()
    {
        { "GET", "/admin/uploads" },
        { "GET", "/admin/uploads/00000000-0000-0000-0000-000000000000" },
        { "DELETE", "/admin/uploads/00000000-0000-0000-0000-000000000000" },
        { "GET", "/admin/robots" },
        { "POST", "/admin/robots" },
        { "DELETE", "/admin/robots/ci" },
        { "GET", "/admin/explain" },
        { "GET", "/admin/upstreams" },
        { "POST", "/admin/prefetch" },
    };

    /// <summary>What nginx sends with a plain proxy_pass: its own address, and the upstream's name as the host.</summary>
    [Theory]
    [MemberData(nameof(Routes))]
    public async Task It_is_off_by_default_for_this_machine_too(string method, string path)
    {
        await using var registry = await RegistryApp.StartAsync(
            options => options.Operations.Admin = new OperationsOptions().Admin);

        using var denied = await registry.Http.RequestAsync(method, path);

        await denied.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        (await denied.Content.ReadAsStringAsync()).ShouldContain("Set OciRegistry:Operations:Admin=true, or give it a port of its own");
    }

    /// <summary>A robot would still be there, and log in, when people have to.</summary>
    [Fact]
    public async Task It_makes_no_robot_where_robots_cannot_log_in()
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Operations.Admin = true);

        using var refused = await registry.Http.PostAsync(
            new Uri("/admin/robots", UriKind.Relative),
            new StringContent("""{"name":"ci","repositories":["**"],"actions":["pull","admin"]}""", new MediaTypeHeaderValue("application/json")));

        await refused.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "UNSUPPORTED");
        (await refused.Content.ReadAsStringAsync()).ShouldContain("Set OciRegistry:Auth:Robots=true");
        using var listed = await registry.Http.GetAsync(new Uri("/admin/robots", UriKind.Relative));
        (await listed.JsonAsync())["robots"]!.AsArray().ShouldBeEmpty();
    }
}
