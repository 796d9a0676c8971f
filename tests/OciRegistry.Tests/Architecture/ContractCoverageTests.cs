using System.Reflection;
using OciRegistry.Coordination;
using OciRegistry.Storage;
using OciRegistry.Tests.Coordination;
using OciRegistry.Tests.Storage;

namespace OciRegistry.Tests.Architecture;

/// <summary>No backend without its contract: what is not held against it will differ.</summary>
public sealed class ContractCoverageTests
{
    public static TheoryData<Type, Type> Contracts => new()
    {
        { typeof(IDocumentStore), typeof(DocumentStoreContract) },
        { typeof(IBlobStore), typeof(BlobStoreContract) },
        { typeof(IUploadStore), typeof(UploadStoreContract) },
        { typeof(IRegistryLocks), typeof(RegistryLocksContract) },
    };

    [Theory]
    [MemberData(nameof(Contracts))]
    public void Every_implementation_has_tests_that_derive_from_its_contract(Type service, Type contract)
    {
        var implementations = Directory.EnumerateFiles(AppContext.BaseDirectory, "OciRegistry*.dll")
            .Select(file => Assembly.Load(Path.GetFileNameWithoutExtension(file)))
            .Where(assembly => assembly != typeof(ContractCoverageTests).Assembly)
            .SelectMany(assembly => assembly.GetTypes())
            .Where(type => type is { IsClass: true, IsAbstract: false } && type.IsAssignableTo(service))
            .ToArray();
        var tests = typeof(ContractCoverageTests).Assembly.GetTypes()
            .Where(type => !type.IsAbstract && type.IsSubclassOf(contract))
            .Select(type => type.Name)
            .ToArray();

        implementations.ShouldNotBeEmpty();
        tests.ShouldBe(implementations.Select(type => $"{type.Name}Tests"), ignoreOrder: true);
    }

    [Fact]
    public void Every_contract_is_in_the_table() =>
        typeof(ContractCoverageTests).Assembly.GetTypes()
            .Where(type => type.IsAbstract && type.Name.EndsWith("Contract", StringComparison.Ordinal))
            .ShouldBe(Contracts.Select(row => row.Data.Item2), ignoreOrder: true);
}
